"""The user's own places: points or polygons of a file, each with what the file says of it and the cell around it."""

import datetime
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

from tilewright.config.area import CSV, Aoi, Points, Polygons
from tilewright.config.cell_settings import Sample
from tilewright.errors import TilewrightError
from tilewright.grid.samples import ANTIMERIDIAN, Placed, placed
from tilewright.grid.vector_files import read_shapes

if TYPE_CHECKING:
    import pandas as pd

_SHOWN: Final = 5


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The places of a file in its order: arrays of one length; place `i` is the file's row `i`, from 0.

    Attributes:
        placed: each one's cell; all have one.
        id, label: text; label None where there is none.
        date: day, NaT where there is none.
        text: the file's key and name, for messages.
    """

    placed: Placed
    id: NDArray[np.object_]
    label: NDArray[np.object_]
    date: NDArray[np.datetime64]
    text: str

    def tiles(self) -> list[str]:
        """Names, sorted, of the tiles that own a cell."""
        return sorted(self._rows)

    def of(self, tile: str) -> list[Sample]:
        """What the cells stage is told of the places in a tile, in the file's order.

        Raises:
            TilewrightError: where there are none.
        """
        if tile not in self._rows:
            raise TilewrightError(
                f"tile {tile} has no cell of {self.text}: ask for a tile that has, or add a place in it"
            )
        at = self.placed
        return [
            Sample(
                sample=row, ulx=int(at.ulx[row]), uly=int(at.uly[row]), id=self.id[row], label=self.label[row],
                date=None if np.isnat(self.date[row]) else self.date[row].item(),
            )
            for row in self._rows[tile].tolist()
        ]  # fmt: skip

    def dates(self, tile: str) -> list[datetime.date]:
        """The different dates of a tile's places, in time order; none where none of them has one."""
        dates = self.date[self._rows[tile]] if tile in self._rows else self.date[:0]
        return [each.item() for each in np.unique(dates[~np.isnat(dates)])]

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.intp]]:
        names, starts = np.unique(
            self.placed.tile[order := np.argsort(self.placed.tile, kind="stable")], return_index=True
        )
        return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


def load_samples(aoi: Aoi, size_m: int) -> SampleTable:
    """Read `aoi.points` or `aoi.polygons` and place a cell of `size_m` metres around each.

    A polygon's cell is around its centroid (in the file's CRS) where that lies inside it, else around the point inside it that GEOS calls
    representative: for a crescent or a ring the centroid would show something else.

    Raises:
        TilewrightError: naming key, file, row and mend: a file that cannot be read, has no CRS, no such column or no row; a geometry that is
            empty or of another kind; a place off the earth or where no tile contains its cell; a date that is none; an id that
            is empty or there twice.
    """
    assert aoi.own is not None  # the config's checks let only such through
    name, columns = aoi.own
    key = f"aoi.{name}"
    if isinstance(columns, Points) and Path(columns.path).suffix.lower() in CSV:
        table, lon, lat = _read_csv(columns, key)
    else:
        table, lon, lat = _read_vector(columns, key)
    text = f"{key}: {columns.path}"
    if not len(table):
        raise TilewrightError(f"{text} has no row; give at least one place")
    off = ~((np.abs(lon) <= 180) & (np.abs(lat) <= 90))
    _refuse(
        off,
        text,
        lambda at: f"lies at longitude {lon[at]:g}, latitude {lat[at]:g}: no place in degrees; mend its columns or CRS",
    )
    cells = placed(lon, lat, size_m)
    _refuse(
        cells.reason != "", text,
        lambda at: f"(longitude {lon[at]:g}, latitude {lat[at]:g}) " + (
            f"lies at ±180°, and its cell of {size_m} m would cross it" if cells.reason[at] == ANTIMERIDIAN
            else f"lies where no Sentinel-2 tile contains its cell of {size_m} m: tiles cover 84° S to 84.6° N"
        ) + ": remove it or move it",
    )  # fmt: skip
    return SampleTable(cells, _ids(table, columns, text), _labels(table, columns), _dates(table, columns, text), text)


def _refuse(wrong: NDArray[np.bool_], text: str, what: Callable[[int], str]) -> None:
    """Raises where any row is wrong; `what` says of the first one what is."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        more = f" (and so {len(rows) - 1} more: rows {', '.join(map(str, rows[1 : 1 + _SHOWN]))}{' …' if len(rows) > 1 + _SHOWN else ''})"
        raise TilewrightError(
            f"{text}: row {rows[0]} (the first is 0) {what(int(rows[0]))}{more if len(rows) > 1 else ''}"
        )


def _require(table: "pd.DataFrame", named: dict[str, str | None], text: str) -> None:
    known = [str(each) for each in table.columns if each != "geometry"]
    for key, column in named.items():
        if column is not None and column not in known:
            raise TilewrightError(f"{text} has no column {column!r} ({key}); there are {', '.join(known) or 'none'}")


def _of_user(columns: Points | Polygons, key: str) -> dict[str, str | None]:
    return {f"{key}.id": columns.id, f"{key}.date": columns.date, f"{key}.label": columns.label}


def _read_csv(columns: Points, key: str) -> tuple["pd.DataFrame", NDArray[np.float64], NDArray[np.float64]]:
    import pandas as pd

    text = f"{key}: {columns.path}"
    try:
        with warnings.catch_warnings(
            action="error", category=pd.errors.ParserWarning
        ):  # a row of too many fields is cut otherwise
            table = pd.read_csv(columns.path, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # pandas' own errors are ValueErrors
        raise TilewrightError(
            f"{text} cannot be read ({error}); give comma-separated values in UTF-8 with a header"
        ) from error
    names = {f"{key}.lon": columns.lon or "lon", f"{key}.lat": columns.lat or "lat"}
    _require(table, {**names, **_of_user(columns, key)}, text)
    return table, *(_degrees(table[column], text) for column in names.values())


def _degrees(column: "pd.Series", text: str) -> NDArray[np.float64]:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    written = column.to_numpy(object)
    _refuse(~np.isfinite(values), text, lambda at: f"has {written[at]!r} in column {column.name}: give degrees, as 9.5")
    return values


def _read_vector(
    columns: Points | Polygons, key: str
) -> tuple["pd.DataFrame", NDArray[np.float64], NDArray[np.float64]]:
    import geopandas as gpd

    text = f"{key}: {columns.path}"
    table = read_shapes(columns.path, key, columns.layer, f"{key}.layer")
    _require(table, _of_user(columns, key), text)
    shapes = table.geometry.to_numpy().copy()
    single = (shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOINT) & (
        shapely.get_num_geometries(shapes) == 1
    )
    shapes[single] = shapely.get_geometry(shapes[single], 0)  # many tools write all points so
    _refuse(
        shapely.is_missing(shapes) | shapely.is_empty(shapes),
        text,
        lambda at: "has no geometry: give it one or remove it",
    )
    wanted = ("Point",) if isinstance(columns, Points) else ("Polygon", "MultiPolygon")
    kinds = np.array([shape.geom_type for shape in shapes], dtype=object)
    other = "polygons go under aoi.polygons" if isinstance(columns, Points) else "points go under aoi.points"
    _refuse(~np.isin(kinds, wanted), text, lambda at: f"is a {kinds[at]}: give {wanted[0].lower()}s here; {other}")
    if isinstance(columns, Polygons):
        shapes = _middles(shapes)
    degrees = gpd.GeoSeries(shapes, crs=table.crs).to_crs(4326)
    lon = degrees.x.to_numpy(np.float64)
    return table, np.where(np.abs(lon) <= 540, (lon + 180) % 360 - 180, lon), degrees.y.to_numpy(np.float64)


def _middles(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Each polygon's centroid where that lies inside it, else a point that does."""
    valid = np.where(shapely.is_valid(polygons), polygons, shapely.make_valid(polygons))
    middles = shapely.centroid(valid)
    outside = ~shapely.intersects(valid, middles)
    middles[outside] = shapely.point_on_surface(valid[outside])
    return np.asarray(middles, dtype=object)


def _missing(value: Any) -> bool:
    import pandas as pd

    return not value.strip() if isinstance(value, str) else bool(pd.isna(value))


def _text(value: Any) -> str | None:
    """A value as text: whole numbers as "12", also where the column is of floats for want of missing values."""
    if _missing(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _texts(column: "pd.Series") -> NDArray[np.object_]:
    texts = np.empty(len(column), object)
    texts[:] = [_text(value) for value in column.astype(object)]
    return texts


def _ids(table: "pd.DataFrame", columns: Points | Polygons, text: str) -> NDArray[np.object_]:
    if columns.id is None:
        return np.array([str(row) for row in range(len(table))], dtype=object)
    ids = _texts(table[columns.id])
    _refuse(
        np.array([each is None for each in ids]),
        text,
        lambda at: f"has no name in column {columns.id}: give each row one",
    )
    _, first, which = np.unique(ids.astype(str), return_index=True, return_inverse=True)
    twice = first[which] != np.arange(len(ids))
    _refuse(
        twice, text,
        lambda at: f"is named {ids[at]!r} in column {columns.id}, as row {first[which[at]]} is: names must be unique; leave id out to "
        "number the rows",
    )  # fmt: skip
    return ids


def _labels(table: "pd.DataFrame", columns: Points | Polygons) -> NDArray[np.object_]:
    return np.full(len(table), None, object) if columns.label is None else _texts(table[columns.label])


def _dates(table: "pd.DataFrame", columns: Points | Polygons, text: str) -> NDArray[np.datetime64]:
    dates = np.full(len(table), "NaT", "datetime64[D]")
    if columns.date is None:
        return dates
    values = table[columns.date].astype(object).tolist()
    wrong = np.zeros(len(table), bool)
    for row, value in enumerate(values):
        try:
            dates[row] = _date(value)
        except ValueError:
            wrong[row] = True
    _refuse(
        wrong, text, lambda at: f"has {values[at]!r} in column {columns.date}, which is no date: write it as 2019-07-01"
    )
    return dates


def _date(value: Any) -> datetime.date | None:
    """The day (UTC) of a date, a time or an ISO 8601 text; None where there is none.

    Raises:
        ValueError: where it is something else.
    """
    if _missing(value):
        return None
    if isinstance(value, datetime.date | datetime.datetime):
        moment = value
    else:
        written = str(value).strip()
        if len(written) < len("2019-07-01"):  # 20190701 is ISO 8601 too, but also a number of days of something else
            raise ValueError(written)
        moment = datetime.datetime.fromisoformat(written)
    if isinstance(moment, datetime.datetime):
        moment = (moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)).date()
    return moment
