"""Locations around cities: what sampling SSL4EO-S12's 251,079 of them costs, and how many overlap, beside what the paper says.

    python benchmarks/locations.py [--quick]

*cost*: CPU seconds of one thread, in this process: the table of cities, the draw alone (the floor: no filter can be had for
less), draw and filter, the whole stage with cells, owners and the file. Beside them the paper's grid search written plainly: one
candidate after another against all of its 1° × 1° square.

*rates*: how many of the candidates around a city are refused. Means over seeds, beside what random sequential adsorption
predicts from the table of cities alone, and the paper's figures.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import table
from tilewright.config.cities import Cities, Overlap
from tilewright.config.location_settings import LocationsSettings
from tilewright.locations import Candidates, CityTable, candidates, kept, most_populous, rule_m
from tilewright.stages.locations import make_locations

SIZE_M = 2640
PAPER = Cities()
AUTHORS = Cities(spread="degrees", overlap=Overlap(metric="authors"))
GEOD = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True)
class Town:
    """A city whose rate of overlaps the paper gives (SSL4EO-S12 §III, *Overlap filtering*): percent, "<" where it is below."""

    name: str
    lon: float
    lat: float
    percent: float
    below: bool = False


TOWNS = (
    Town("Tokyo", 139.69, 35.69, 3.0), Town("Chicago", -87.63, 41.88, 1.5), Town("Munich", 11.58, 48.14, 1.0, True),
    Town("Beijing", 116.40, 39.90, 1.0, True), Town("Kampala", 32.58, 0.32, 1.0, True), Town("Brasilia", -47.88, -15.79, 1.0, True),
)  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Candidates near a town over some seeds, and how many of them were refused."""

    cities: int
    drawn: int
    refused: int
    expected: float

    @property
    def share(self) -> float:
        return self.refused / self.drawn if self.drawn else math.nan


@cache
def paper_cities() -> CityTable:
    """The 10,000 most populous of GeoNames."""
    return most_populous(PAPER.table, PAPER.most_populous)


def away_km(lon: NDArray[np.float64], lat: NDArray[np.float64], town: Town) -> NDArray[np.float64]:
    there = np.full(len(lon), town.lon), np.full(len(lon), town.lat)
    return np.asarray(GEOD.inv(lon, lat, *there)[2]) / 1000


def crowd(
    cities: CityTable, settings: Cities, town: Town, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How many candidates of a whole draw are to be expected within the rule of places near a town: from the cities alone."""
    expected = np.zeros(len(lon))
    peak = settings.candidates / len(cities) / (2 * math.pi * settings.sigma_km**2)  # of one city, a square kilometre
    for at in np.flatnonzero(away_km(cities.lon, cities.lat, town) < 100 + 6 * settings.sigma_km):
        there = np.full(len(lon), cities.lon[at]), np.full(len(lon), cities.lat[at])
        far = np.asarray(GEOD.inv(lon, lat, *there)[2]) / 1000
        expected += peak * np.exp(-(far**2) / (2 * settings.sigma_km**2))
    return expected * math.pi * (rule_m(settings.overlap, SIZE_M) / 1000) ** 2


def adsorbed(crowds: NDArray[np.float64], steps: int = 200) -> NDArray[np.float64]:
    """The share refused where so many candidates fall within the rule of each other, one after another.

    Random sequential adsorption of discs: with x accepted ones within the rule of a place, the next is accepted there with
    1 - x + 6√3/16π x² + (40/√3π - 176/3π²)/64 x³ (Schaaf and Talbot 1989, in their θ = x / 4).
    """
    second = 6 * math.sqrt(3) / math.pi / 16
    third = (40 / (math.sqrt(3) * math.pi) - 176 / (3 * math.pi**2)) / 64
    accepted = np.zeros_like(crowds)
    for _ in range(steps):
        half = accepted + crowds / steps / 2 * (1 - accepted + second * accepted**2 + third * accepted**3)
        accepted = accepted + crowds / steps * (1 - half + second * half**2 + third * half**3)
    return 1 - accepted / crowds


def rates(settings: Cities, seeds: range, within_km: float) -> dict[str, Rate]:
    """{town: what became of the candidates within some distance of it}, over the seeds."""
    cities = paper_cities()
    found: dict[str, list[tuple[int, int, NDArray[np.float64], NDArray[np.float64]]]] = {}
    for seed in seeds:
        drawn = candidates(cities, settings.candidates, seed, settings.sigma_km, settings.spread)
        keep = kept(drawn, settings.overlap, SIZE_M)
        for town in TOWNS:
            here = near(drawn, town, within_km)
            found.setdefault(town.name, []).append(
                (len(here), int((~keep[here]).sum()), drawn.lon[here], drawn.lat[here])
            )
    made = {}
    for town in TOWNS:
        drawn_near, refused, lon, lat = zip(*found[town.name], strict=True)
        expected = (
            adsorbed(crowd(cities, settings, town, np.concatenate(lon), np.concatenate(lat))).mean()
            if any(drawn_near)
            else math.nan
        )
        around = int((away_km(cities.lon, cities.lat, town) < within_km).sum())
        made[town.name] = Rate(around, sum(drawn_near), sum(refused), float(expected))
    return made


def near(drawn: Candidates, town: Town, within_km: float) -> NDArray[np.intp]:
    """Rows of the candidates within some distance of a town."""
    box = np.flatnonzero(np.abs(drawn.lat - town.lat) < within_km / 110)
    return box[away_km(drawn.lon[box], drawn.lat[box], town) < within_km]


def drawn_for(settings: Cities, town: Town, share: float, within_km: float) -> int:
    """How many candidates a draw has in which the share refused near a town is that: by the prediction."""
    cities = paper_cities()
    drawn = candidates(cities, settings.candidates, 0, settings.sigma_km, settings.spread)
    here = near(drawn, town, within_km)
    crowds = crowd(cities, settings, town, drawn.lon[here], drawn.lat[here])
    low, high = 0.0, 100.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if adsorbed(middle * crowds, 100).mean() < share else (low, middle)
    return round(settings.candidates * low)


def in_truth_too_close(drawn: Candidates, keep: NDArray[np.bool_], rule: float) -> int:
    """How many of those kept have another closer than the rule, in metres along the ellipsoid."""
    to_space = pyproj.Transformer.from_crs(4979, 4978, always_xy=True)
    lon, lat = drawn.lon[keep], drawn.lat[keep]
    points = np.column_stack(to_space.transform(lon, lat, np.zeros(len(lon))))
    pairs = cKDTree(points).query_pairs(
        rule, output_type="ndarray"
    )  # lines are shorter than geodesics, by 8 µm at 1980 m
    one, other = pairs.T
    closer = np.asarray(GEOD.inv(lon[one], lat[one], lon[other], lat[other])[2]) < rule
    return len(np.unique(pairs[closer]))


def plain(drawn: Candidates, rule: float) -> NDArray[np.bool_]:
    """The paper's grid search as one writes it: each candidate against all that are kept in its square, on the plane of degrees."""
    grid: dict[tuple[int, int], list[tuple[float, float]]] = {}
    keep = np.ones(len(drawn), bool)
    degree = 1000 * math.pi / 180 * 6371
    for at, (lon, lat) in enumerate(zip(drawn.lon.tolist(), drawn.lat.tolist(), strict=True)):
        square = grid.setdefault((math.floor(lon + 180), math.floor(lat + 90)), [])
        if any(math.hypot(lon - x, lat - y) * degree < rule for x, y in square):
            keep[at] = False
        else:
            square.append((lon, lat))
    return keep


def cpu(job: Callable[[], object], runs: int) -> float:
    """The least CPU seconds of some runs, all threads together."""
    spent = []
    for _ in range(runs):
        begun = time.process_time()
        job()
        spent.append(time.process_time() - begun)
    return min(spent)


def cost(number: int, runs: int) -> list[dict[str, object]]:
    """CPU seconds of each part, for so many candidates."""
    cities = paper_cities()
    ours, theirs = (candidates(cities, number, 42, each.sigma_km, each.spread) for each in (PAPER, AUTHORS))
    rule = rule_m(PAPER.overlap, SIZE_M)
    rows: list[dict[str, object]] = [
        {"": "the table of cities", "CPU s": cpu(lambda: most_populous(PAPER.table, PAPER.most_populous), runs)},
        {"": "floor: the draw alone", "CPU s": cpu(lambda: candidates(cities, number, 42, 50.0, "metres"), runs)},
    ]

    def filtered(name: str, drawn: Candidates, sieve: Callable[[], NDArray[np.bool_]], times: int) -> NDArray[np.bool_]:
        keep = sieve()
        rows.append(
            {
                "": name, "CPU s": cpu(sieve, times), "kept": int(keep.sum()), "refused": int((~keep).sum()),
                "in truth too close": in_truth_too_close(drawn, keep, rule),
            }
        )  # fmt: skip
        return keep

    within = Overlap(neighbours=False)
    filtered("filter: metres, all neighbours", ours, lambda: kept(ours, PAPER.overlap, SIZE_M), runs)
    filtered("filter: metres, within a square", ours, lambda: kept(ours, within, SIZE_M), runs)
    fast = filtered("filter: the authors' metric", theirs, lambda: kept(theirs, AUTHORS.overlap, SIZE_M), runs)
    slow = filtered("the same, written plainly", theirs, lambda: plain(theirs, rule), 1)
    if (fast != slow).any():
        raise SystemExit("the authors' metric and the plain search keep different locations")
    settings = LocationsSettings(
        seed=42, size_m=SIZE_M, cities=PAPER.model_copy(update={"locations": number, "overdraw": 1.0})
    )
    with tempfile.TemporaryDirectory() as folder:
        whole = cpu(lambda: make_locations(settings, Path(folder) / "locations.parquet"), runs)
    rows.append({"": "the whole stage: table, draw, filter, owners of cells, file", "CPU s": whole})
    return rows


def rate_rows(number: int, seeds: range) -> list[dict[str, object]]:
    """A row for each town: the paper's rate beside ours, within 50 km and 100 km, both metrics."""
    rows = []
    ours, theirs = (each.model_copy(update={"locations": number, "overdraw": 1.0}) for each in (PAPER, AUTHORS))
    found = {km: (rates(ours, seeds, km), rates(theirs, seeds, km)) for km in (50.0, 100.0)}
    for town in TOWNS:
        row: dict[str, object] = {"": town.name, "paper %": f"{'< ' if town.below else ''}{town.percent:g}"}
        for km, (metres, authors) in found.items():
            row |= {
                f"cities {km:.0f} km": metres[town.name].cities,
                f"metres % {km:.0f} km": 100 * metres[town.name].share,
                f"predicted % {km:.0f} km": 100 * metres[town.name].expected,
                f"authors' % {km:.0f} km": 100 * authors[town.name].share,
            }
        row["draw with the paper's rate"] = drawn_for(ours, town, town.percent / 100, 50.0)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of the draw, one seed: the figures mean nothing"
    )
    args = parser.parse_args()
    numbers = [12_500] if args.quick else [PAPER.locations, PAPER.candidates]
    document: dict[str, object] = {}
    checks = []
    for number in numbers:
        rows = cost(number, 1 if args.quick else 3)
        document[f"cost of {number}"] = rows
        table.show(f"Sampling {number:,} candidates", rows)
        last = rows[-1]["CPU s"]
        assert isinstance(last, float)
        checks.append(table.Check(f"the whole stage, {number:,} candidates", last, 60, unit=" CPU s"))
    rows = document["rates"] = rate_rows(numbers[0], range(1) if args.quick else range(8))
    table.show(f"Overlaps refused in a draw of {numbers[0]:,}", rows)
    table.verdicts("Targets", checks)
    table.keep("locations-quick" if args.quick else "locations", document, checks)


if __name__ == "__main__":
    main()
