"""Any vector source as features: files that GDAL reads, GeoParquet, PostGIS.

How attributes become texts: whole numbers as "111", also where the field is of floats; other floats as the shortest decimal that
gives the same number in the field's own precision; truth as "true", "false"; dates and times by ISO 8601; texts without the
blanks around them. Missing and empty ones, and numbers that are none, are left out.
"""

import datetime
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from tilewright.config.label_sets import VectorFile, is_postgis
from tilewright.errors import TilewrightError
from tilewright.store.batch import Batch
from tilewright.store.features import KINDS
from tilewright.vector.features import SourceFacts
from tilewright.vector.mend import mended
from tilewright.vector.tables import Rows, Table, open_table, shown

# Ids are burned as uint32, 0 is none.
_LARGEST_ID: Final = 2**32 - 1
_SHOWN: Final = 5


class VectorReader:
    """Reads one layer; see `tilewright.vector.features.FeatureReader`.

    Of every feature source_type is "row", and source_id what `source.id` says, else its number in the file, from 1.
    """

    def __init__(self, source: VectorFile, year: int | None, workdir: Path | None = None) -> None:
        """`year`: of `source.year_field`; `workdir`: where a copy of a database's layer may be, for a while.

        Raises:
            TilewrightError: where a field with years is named but no year.
        """
        self._source, self._year, self._workdir = source, year, workdir
        self._name = shown(source.path)
        if source.year_field is not None and year is None:
            raise TilewrightError(
                f"labels: {self._name}: has a field with years: name the wanted one, labels.<set>.year"
            )
        self._counts: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._repaired = 0

    def batches(self) -> Iterator[Batch]:
        """All features (of the year).

        Raises:
            TilewrightError: naming the source, what is wrong and the mend: missing or broken, several layers, no CRS or several,
                fields that are not there or of no use, ids that are not whole or not unique, no feature of the year.
        """
        source = self._source
        self._counts, self._rejects, self._repaired = Counter(), Counter(), 0
        table = self._open()
        crs = self._crs(table)
        optional = [each for each in (source.id, source.year_field) if each is not None]
        wanted = list(dict.fromkeys([*source.attributes, *source.values, *optional]))
        self._refuse_missing(table, wanted)
        ids: list[np.ndarray] = []
        years: Counter[int | None] = Counter()
        first = 1
        for rows in table.rows(wanted):
            number = np.arange(first, first + len(rows.geometry))
            first += len(number)
            kept = np.arange(len(number))
            if source.year_field is not None:
                of = self._years(rows.fields[source.year_field])
                years.update(of)
                kept = np.flatnonzero([each == self._year for each in of])
            if source.id is not None:
                number[kept] = self._ids(rows.fields[source.id].take(kept), number[kept])
                ids.append(number[kept].astype(np.uint32))
            if batch := self._batch(rows, kept, number, crs):
                yield batch
        self._refuse_doubled(ids)
        if self._rejects and not self._counts:
            listed = ", ".join(f"{reason} {count}" for reason, count in sorted(self._rejects.items()))
            raise TilewrightError(
                f"labels: {self._name}: none of its geometries can be used ({listed}); no_place means coordinates that its CRS "
                f"({crs.name}) has no place for: mend labels.<set>.source.crs or the file's own CRS (ogr2ogr -a_srs)"
            )
        if source.year_field is not None:
            self._rejects["no_year"] += years[None]
            if years and not years[self._year]:
                known = ", ".join(map(str, sorted(each for each in years if each is not None))) or "none"
                raise TilewrightError(
                    f"labels: {self._name}: no feature is of {self._year}; {source.year_field} has the years {known}: mend "
                    "labels.<set>.year or source.year_field"
                )

    def facts(self) -> SourceFacts:
        """What is known of the source; the extent is what `source.extent` says."""
        extent = None
        if self._source.extent is not None:
            from tilewright.vector.extent import load_extent

            extent = shapely.to_wkt(load_extent(self._source.extent), rounding_precision=-1)
        counts = {kind: self._counts[kind] for kind in KINDS}
        rejects = {reason: count for reason, count in sorted(self._rejects.items()) if count}
        return SourceFacts(None, extent, counts, rejects, self._repaired)

    def _open(self) -> Table:
        if is_postgis(self._source.path):
            from tilewright.vector.postgis import PostgisTable

            return PostgisTable(self._source.path, self._source.layer, self._workdir)
        return open_table(self._source.path, self._source.layer)

    def _crs(self, table: Table) -> pyproj.CRS:
        given = self._source.crs
        try:
            found = None if table.crs is None else pyproj.CRS.from_user_input(table.crs)
            named = None if given is None else pyproj.CRS.from_epsg(given)
        except pyproj.exceptions.CRSError as error:
            raise TilewrightError(f"labels: {self._name}: its CRS is none that PROJ knows ({error})") from error
        crs = found or named
        if crs is None:
            raise TilewrightError(
                f"labels: {self._name}: names no CRS; say which it is with labels.<set>.source.crs (EPSG code)"
            )
        if found and named and not found.equals(named, ignore_axis_order=True) and found.to_epsg(20) != given:
            raise TilewrightError(
                f"labels: {self._name}: names the CRS {found.name}, and labels.<set>.source.crs EPSG:{given}: leave that out, or set "
                "the file's with ogr2ogr -a_srs"
            )
        try:
            pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
        except pyproj.exceptions.ProjError as error:
            raise TilewrightError(
                f"labels: {self._name}: its CRS {crs.name} has no place on the earth ({error}); transform it, or set it with "
                "ogr2ogr -a_srs"
            ) from error
        return crs

    def _refuse_missing(self, table: Table, wanted: list[str]) -> None:
        if missing := [each for each in wanted if each not in table.fields]:
            source = self._source
            keys: dict[str | None, str] = {source.year_field: "year_field", source.id: "id"}
            keys.update(dict.fromkeys(source.values, "values"))
            keys.update(dict.fromkeys(source.attributes, "attributes"))
            listed = ", ".join(f"{each!r} (source.{keys[each]})" for each in missing)
            raise TilewrightError(
                f"labels: {self._name}: has no field {listed}; there are {', '.join(table.fields) or 'none'}"
            )

    def _batch(self, rows: Rows, kept: np.ndarray, number: np.ndarray, crs: pyproj.CRS) -> Batch | None:
        source = self._source
        made = mended(rows.geometry[kept], crs)
        reasons = made.reject.copy()
        reasons[rows.broken[kept]] = "broken_geometry"
        self._rejects.update(reason for reason in reasons if reason)
        self._repaired += made.repaired
        good = made.reject == ""
        kinds = made.kind[good].tolist()
        self._counts.update(kinds)
        fields = {name: rows.fields[name].take(kept[good]) for name in sorted({*source.attributes, *source.values})}
        for name in source.values:
            self._refuse_other_than_numbers(name, fields[name].type)
        if not kinds:
            return None
        tags = _documents({name: self._texts(name, column) for name, column in fields.items()})
        return Batch(["row"] * len(kinds), number[kept][good].astype(np.int64), kinds, tags, made.geometry[good])

    def _refuse_other_than_numbers(self, name: str, kind: pa.DataType) -> None:
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            raise TilewrightError(f"labels: {self._name}: source.values: field {name!r} is of {kind}, not of numbers")

    def _texts(self, name: str, column: pa.Array) -> list[str | None]:
        """A field as texts, see the module's docstring; each different value is looked at once."""
        values, places = _distinct(column)
        try:
            texts = [_text(value) for value in values]
        except TypeError as error:
            raise TilewrightError(
                f"labels: {self._name}: field {name!r} is of {column.type}: no text, number or date"
            ) from error
        return [None if at is None else texts[at] for at in places]

    def _ids(self, column: pa.Array, number: np.ndarray) -> np.ndarray:
        values, places = _distinct(column)
        whole = [_whole(value) for value in values]
        found = [None if at is None else whole[at] for at in places]
        wrong = [at for at, each in enumerate(found) if each is None or not 1 <= each <= _LARGEST_ID]
        if wrong:
            listed = ", ".join(f"{_named(column[at].as_py())} (row {number[at]})" for at in wrong[:_SHOWN])
            raise TilewrightError(
                f"labels: {self._name}: source.id: {self._source.id} must be a whole number from 1 to {_LARGEST_ID}, not {listed}: "
                "name another field, or leave it out to number the features"
            )
        return np.array(found, dtype=np.int64)

    def _refuse_doubled(self, ids: list[np.ndarray]) -> None:
        every = np.sort(np.concatenate(ids)) if ids else np.empty(0, np.uint32)
        doubled = np.unique(every[1:][every[1:] == every[:-1]])
        if len(doubled):
            more = " …" if len(doubled) > _SHOWN else ""
            raise TilewrightError(
                f"labels: {self._name}: source.id: {self._source.id} is not unique: {len(doubled)} values are there more than once: "
                f"{', '.join(map(str, doubled[:_SHOWN]))}{more}; name another field, or leave it out to number the features"
            )

    def _years(self, column: pa.Array) -> list[int | None]:
        values, places = _distinct(column)
        years = [_year(value) for value in values]
        for value, year in zip(values, years, strict=True):
            if year is None and _text(value) is not None:
                raise TilewrightError(
                    f"labels: {self._name}: source.year_field: {self._source.year_field} has {value!r}, which is no year"
                )
        return [None if at is None else years[at] for at in places]


def _distinct(column: pa.Array) -> tuple[list[Any], list[int | None]]:
    """The different values of a column, and for each row the number of its value (None: missing)."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column, pa.ExtensionArray):  # JSON, which GDAL marks as such, is a text
        column = column.storage
    if pa.types.is_nested(column.type):  # lists and the like, which cannot be told apart: `_text` refuses them
        return column.to_pylist(), [at if known else None for at, known in enumerate(column.is_valid().to_pylist())]
    coded = pc.dictionary_encode(column)
    floats = pa.types.is_floating(column.type)  # as numpy's numbers, which know their precision
    values = list(coded.dictionary.to_numpy(zero_copy_only=False)) if floats else coded.dictionary.to_pylist()
    return values, coded.indices.to_pylist()


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, np.floating):
        if not math.isfinite(value):
            return None
        return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else str(value)
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date
        return value.isoformat()
    if hasattr(value, "as_integer_ratio"):  # Decimal
        return str(int(value)) if value == int(value) else format(value.normalize(), "f")
    raise TypeError(type(value).__name__)


def _named(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _whole(value: Any) -> int | None:
    """A whole number, of a text too; None for anything else."""
    text = None if isinstance(value, (bool, datetime.date, datetime.time, bytes, list, dict)) else _text(value)
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None


def _year(value: Any) -> int | None:
    """A year of a number, a date or a text that begins with one (2018, 2018-05-01)."""
    if isinstance(value, datetime.date):
        return value.year
    text = None if isinstance(value, (bool, bytes, list, dict, datetime.time)) else _text(value)
    found = re.match(r"[0-9]{4}(?![0-9.])", text or "")
    return int(found.group()) if found else None


def _documents(fields: dict[str, list[str | None]]) -> list[str]:
    """For each feature the JSON text of its fields (in sorted order), without those that are missing."""
    columns = []
    for name, texts in fields.items():
        written: dict[str | None, str] = {None: ""}
        for text in texts:
            if text not in written:
                key, value = (json.dumps(each, ensure_ascii=False) for each in (name, text))
                written[text] = f"{key}:{value}"
        columns.append([written[text] for text in texts])
    return ["{" + ",".join(filter(None, row)) + "}" for row in zip(*columns, strict=True)]
