"""Sentinel-1's files: amplitude in radar geometry with its tie points and calibration, and gamma0 in UTM."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
import tifffile
from affine import Affine

from tilewright.simulate.radar import POLARISATIONS, Geometry, Polarisation, Radar
from tilewright.simulate.radar_schedule import RadarScene
from tilewright.simulate.seeded import digest

TIE_LINES, TIE_PIXELS = 10, 21  # tie points down and across, as in the real products
_VECTOR_LINES, _VECTOR_PIXELS = 97, 40  # spacing of the calibration's vectors (real: about 670) and of their entries
RTC_NODATA: Final = -32768.0
RTC_M: Final = 10
_MANTISSA_BITS = 10  # of 23 that float32 keeps here: 0.004 dB, and files of half the size


class Calibration:
    """The calibration table of one polarisation of a product: A in sigma0 = DN² / A², as its XML gives it."""

    def __init__(self, radar: Radar, scene: RadarScene, polarisation: Polarisation) -> None:
        """Vectors begin before the first line and end after the last; their last entry is the last pixel."""
        geometry = radar.geometries[scene.direction]
        self.lines = np.arange(-31, scene.lines + _VECTOR_LINES, _VECTOR_LINES)
        self.pixels = np.append(np.arange(0, scene.pixels - 1, _VECTOR_PIXELS), scene.pixels - 1)
        phase = digest(scene.id, polarisation) % 1000 / 1000 * 2 * math.pi
        across = np.sin(geometry.incidence(self.pixels))
        ripple = 1 + 0.05 * np.sin(self.lines[:, None] / 170 + self.pixels[None, :] / 90 + phase)
        # beta0's constant, divided by the root of the sine of the incidence angle, as in the real tables; six digits
        self.beta = 2300.0 if polarisation == "VV" else 3100.0
        exact = self.beta / np.sqrt(across)[None, :] * ripple
        self.sigma = np.array([[float(f"{value:.6e}") for value in row] for row in exact])
        self.gamma = self.sigma * np.sqrt(np.cos(geometry.incidence(self.pixels)))[None, :]

    def at(self, lines: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """A at `lines` by `pixels` of the product (whole numbers), linear between the table's entries."""
        down = np.clip(np.searchsorted(self.lines, lines, side="right") - 1, 0, len(self.lines) - 2)
        t = ((lines - self.lines[down]) / _VECTOR_LINES)[:, None]
        rows = np.stack([np.interp(pixels, self.pixels, row) for row in self.sigma])
        return rows[down] * (1 - t) + rows[down + 1] * t

    def xml(self, scene: RadarScene, polarisation: Polarisation) -> str:
        """The calibration annotation (Sentinel-1 Product Specification, 6.2)."""

        def entries(name: str, values: np.ndarray, form: str = "{:.6e}") -> str:
            return f'      <{name} count="{len(values)}">{" ".join(form.format(value) for value in values)}</{name}>\n'

        second = (scene.end - scene.start).total_seconds() / scene.lines
        body = ""
        for number, line in enumerate(self.lines):
            time = scene.start + timedelta(seconds=float(line) * second)
            body += f"    <calibrationVector>\n      <azimuthTime>{time:%Y-%m-%dT%H:%M:%S.%f}</azimuthTime>\n"
            body += f"      <line>{line}</line>\n" + entries("pixel", self.pixels, "{}")
            body += entries("sigmaNought", self.sigma[number]) + entries(
                "betaNought", np.full(len(self.pixels), self.beta)
            )
            body += entries("gamma", self.gamma[number]) + entries("dn", np.full(len(self.pixels), self.beta))
            body += "    </calibrationVector>\n"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<calibration>\n  <adsHeader>\n'
            f"    <missionId>{scene.id[:3]}</missionId>\n    <productType>GRD</productType>\n"
            f"    <polarisation>{polarisation}</polarisation>\n    <mode>IW</mode>\n    <swath>IW</swath>\n"
            f"    <startTime>{scene.start:%Y-%m-%dT%H:%M:%S.%f}</startTime>\n"
            f"    <stopTime>{scene.end:%Y-%m-%dT%H:%M:%S.%f}</stopTime>\n"
            f"    <absoluteOrbitNumber>{scene.absolute_orbit}</absoluteOrbitNumber>\n"
            f"    <missionDataTakeId>{scene.datatake}</missionDataTakeId>\n    <imageNumber>001</imageNumber>\n  </adsHeader>\n"
            "  <calibrationInformation>\n    <absoluteCalibrationConstant>1.000000e+00</absoluteCalibrationConstant>\n"
            f'  </calibrationInformation>\n  <calibrationVectorList count="{len(self.lines)}">\n{body}'
            "  </calibrationVectorList>\n</calibration>\n"
        )


def amplitude(radar: Radar, scene: RadarScene, polarisation: Polarisation, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """DN of a product whose pixels show the points x, y of the site's plane: (lines, pixels) uint16, 0 where it has no data."""
    lines, pixels = np.arange(scene.lines), np.arange(scene.pixels)
    angle = radar.geometries[scene.direction].incidence(pixels)
    sigma = radar.gamma0(scene, polarisation, x, y) * np.cos(angle)[None, :]
    dn = np.rint(np.sqrt(sigma) * Calibration(radar, scene, polarisation).at(lines, pixels))
    return (np.clip(dn, 1, 65535) * radar.seen(scene, (lines + scene.first_line)[:, None], pixels[None, :])).astype(
        np.uint16
    )


def tie_points(radar: Radar, scene: RadarScene) -> np.ndarray:
    """Pixel, line, 0, longitude, latitude, height of each tie point: (points, 6) float64, lines first."""
    lines = np.unique(np.linspace(0, scene.lines - 1, TIE_LINES).astype(int))
    pixels = np.unique(np.linspace(0, scene.pixels - 1, TIE_PIXELS).astype(int))
    line, pixel = (axis.ravel() for axis in np.meshgrid(lines, pixels, indexing="ij"))
    lon, lat = radar.geolocation(scene, line, pixel)
    geometry = radar.geometries[scene.direction]
    height = geometry.height(*geometry.ground(line + float(scene.first_line), pixel + 0.0))
    return np.column_stack([pixel, line, np.zeros(len(line)), lon, lat, height])


def _write_amplitude(path: Path, dn: np.ndarray, ties: np.ndarray) -> None:
    """A tiled TIFF that is placed by tie points alone; no tag says which value is no data, as in the real files."""
    # Geographic, pixel is area. As in the real files the tie points are sample numbers, so those of pixel centres, though
    # GDAL takes them for corners: who does not add half a pixel is off by as much.
    keys = (1, 1, 0, 4, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326, 2054, 0, 1, 9102)
    tifffile.imwrite(
        path, dn, tile=(512, 512), compression="adobe_deflate", predictor=True, photometric="minisblack", metadata=None, software=False,
        extratags=[(33922, "d", ties.size, ties.ravel().tolist(), True), (34735, "H", len(keys), keys, True)],
    )  # fmt: skip


def rtc_grid(radar: Radar, scene: RadarScene) -> tuple[int, int, int, int]:
    """Left and upper edge in metres of the site's UTM zone, columns and rows of a terrain-corrected product."""
    outline = radar.away(*outline_points(radar, scene), radar.epsg)
    left, top = (math.floor(min(outline[0]) / RTC_M) * RTC_M, math.ceil(max(outline[1]) / RTC_M) * RTC_M)
    right, bottom = (math.ceil(max(outline[0]) / RTC_M) * RTC_M, math.floor(min(outline[1]) / RTC_M) * RTC_M)
    return left, top, (right - left) // RTC_M, (top - bottom) // RTC_M


def outline_points(radar: Radar, scene: RadarScene, steps: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """The edge of a product's data on the site's plane, x and y, going round it from its first pixel."""
    geometry: Geometry = radar.geometries[scene.direction]
    top, bottom = scene.first_line - 0.5, scene.first_line + scene.lines - 0.5
    line = np.concatenate(
        [np.full(steps, top), np.linspace(top, bottom, steps), np.full(steps, bottom), np.linspace(bottom, top, steps)]
    )
    start, end = radar.near_edge(scene, np.array([top, bottom]))
    far = radar.far_edge(scene)
    pixel = np.concatenate(
        [
            np.linspace(start, far, steps),
            np.full(steps, far),
            np.linspace(far, end, steps),
            np.linspace(end, start, steps),
        ]
    )
    return geometry.ground(line, pixel)


def _rtc_plane(radar: Radar, scene: RadarScene) -> tuple[np.ndarray, np.ndarray]:
    """The site's plane at the pixels of `rtc_grid`: exact every 200 m, linear between (off by a millimetre)."""
    left, top, columns, rows = rtc_grid(radar, scene)
    step = 20  # pixels
    nodes = [RTC_M * step * np.arange(-(-count // step) + 1) for count in (columns, rows)]
    exact = radar.plane(*np.meshgrid(left + nodes[0], top - nodes[1]), radar.epsg)
    found = []
    for values in exact:
        for axis, count in ((0, rows), (1, columns)):
            at = (np.arange(count) + 0.5) / step
            whole = at.astype(int)
            t = np.expand_dims(at - whole, 1 - axis)
            values = values.take(whole, axis) * (1 - t) + values.take(whole + 1, axis) * t
        found.append(values)
    return found[0], found[1]


def rtc_pixels(radar: Radar, scene: RadarScene, polarisation: Polarisation, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Linear gamma0 of a product whose pixels lie at x, y of the site's plane: float32, RTC_NODATA where it has no data."""
    value = radar.gamma0(scene, polarisation, x, y).astype(np.float32)
    bits = value.view(np.uint32)
    drop = 23 - _MANTISSA_BITS
    bits += np.uint32(1 << (drop - 1))
    bits &= np.uint32(0xFFFFFFFF >> drop << drop)
    seen = radar.seen(scene, *radar.geometries[scene.direction].radar(x, y))
    return np.where(seen, value, np.float32(RTC_NODATA))


def _write_rtc(path: Path, pixels: np.ndarray, left: int, top: int, epsg: int) -> None:
    with rasterio.open(
        path, "w", driver="COG", height=pixels.shape[0], width=pixels.shape[1], count=1, dtype="float32", crs=f"EPSG:{epsg}",
        transform=Affine(RTC_M, 0, left, 0, -RTC_M, top), nodata=RTC_NODATA, compress="DEFLATE", predictor="FLOATING_POINT",
        blocksize=512, resampling="AVERAGE",
    ) as made:  # fmt: skip
        made.write(pixels, 1)


def write_grd(radar: Radar, scene: RadarScene, folder: Path) -> None:
    """Write `iw-vv.tiff`, `iw-vh.tiff` and their `calibration-iw-….xml` into `folder`, which exists."""
    geometry = radar.geometries[scene.direction]
    line, pixel = np.meshgrid(scene.first_line + np.arange(scene.lines), np.arange(scene.pixels), indexing="ij")
    x, y = geometry.ground(line, pixel)
    ties = tie_points(radar, scene)
    for polarisation in POLARISATIONS:
        name = f"iw-{polarisation.lower()}"
        _write_amplitude(folder / f"{name}.tiff", amplitude(radar, scene, polarisation, x, y), ties)
        table = Calibration(radar, scene, polarisation)
        (folder / f"calibration-{name}.xml").write_text(table.xml(scene, polarisation))


def write_rtc(radar: Radar, scene: RadarScene, folder: Path) -> None:
    """Write `iw-vv.rtc.tiff` and `iw-vh.rtc.tiff` into `folder`, which exists."""
    left, top, *_ = rtc_grid(radar, scene)
    x, y = _rtc_plane(radar, scene)
    for polarisation in POLARISATIONS:
        path = folder / f"iw-{polarisation.lower()}.rtc.tiff"
        _write_rtc(path, rtc_pixels(radar, scene, polarisation, x, y), left, top, radar.epsg)
