"""A page that helps to write an ontology: its legend, and which tags of the features it labels, and which it does not."""

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import shapely
from jinja2 import Environment, PackageLoader, StrictUndefined

from tilewright.errors import TilewrightError
from tilewright.store import replacing, table_metadata
from tilewright.store.features import KINDS
from tilewright.store.seal import beside, write_page
from tilewright.vector.ontology import Matcher, NoneRule, Ontology, Rule
from tilewright.vector.ontology_file import load_ontology
from tilewright.vector.tags import LABEL_KEYS

log = logging.getLogger(__name__)

_GEOD: Final = pyproj.Geod(ellps="WGS84")
_EQUAL_AREA: Final = 6933  # EPSG: EASE-Grid 2.0, a cylindrical equal-area projection of the whole earth (NSIDC)
_BATCH: Final = 20_000
_SHOWN: Final = 200  # rows of the page; the CSV has all


@dataclass
class Amount:
    """How many objects; of areas km², of lines km."""

    objects: int = 0
    area_km2: float = 0.0
    length_km: float = 0.0

    def add(self, objects: int, area_km2: float, length_km: float) -> None:
        """Count some more."""
        self.objects += objects
        self.area_km2 += area_km2
        self.length_km += length_km


@dataclass
class Row:
    """What became of the objects of one kind of geometry that have one tag or attribute.

    Attributes:
        fell: those that no rule fits; hidden: those that the ontology drops, or whose tag it does not count.
        fits: what the others are: a category, `none of <channel>`, `known, no label` → objects.
        otherwise: categories that objects that fell would be of with another kind of geometry, as `wooded (as area)`.
    """

    key: str
    value: str
    kind: str
    all: Amount = field(default_factory=Amount)
    fell: Amount = field(default_factory=Amount)
    hidden: Amount = field(default_factory=Amount)
    fits: dict[str, int] = field(default_factory=dict)
    otherwise: set[str] = field(default_factory=set)


@dataclass
class Coverage:
    """What an ontology makes of features: by category, by tag, and of all."""

    categories: dict[str, Amount] = field(default_factory=dict)
    rows: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    all: dict[str, Amount] = field(default_factory=lambda: {kind: Amount() for kind in KINDS})
    fell: dict[str, Amount] = field(default_factory=lambda: {kind: Amount() for kind in KINDS})
    hidden: dict[str, Amount] = field(default_factory=lambda: {kind: Amount() for kind in KINDS})

    def ranked(self) -> list[Row]:
        """Rows by what fell through: by area, then length, then objects; the rest by what they have of each."""
        return sorted(
            self.rows.values(),
            key=lambda row: (
                -row.fell.area_km2, -row.fell.length_km, -row.fell.objects, -row.all.area_km2, -row.all.length_km,
                -row.all.objects, row.key, row.value, row.kind,
            ),
        )  # fmt: skip


def write_legend(ontology: Path, features: Sequence[Path], label_set: str | None, output: Path) -> None:
    """Write a self-contained HTML page, and all its rows by tag as a CSV file of the same stem beside it.

    The same files give the same bytes. Memory depends on the objects of the largest file's row group and the number of
    different tags; of each object that was counted only its id is kept.

    Args:
        ontology: its file.
        features: feature tables (of tiles: an object that several hold counts once) or normalised sources. None to have the
            legend alone, which is all that there is for an ontology of pixels: no table holds them.
        label_set: the one of the tables' label sets that counts; None: the only one there.
        output: the page, `.html`.

    Raises:
        TilewrightError: for a bad ontology, or a table that lacks the label set or has several.
    """
    rules = load_ontology(ontology)
    if rules.kind == "pixels":
        features = ()
    coverage = cover(rules, _batches(features, label_set)) if features else None
    environment = Environment(
        loader=PackageLoader("tilewright.vector", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    filters: dict[str, Callable[[Any], str]] = {"number": lambda value: f"{value:,}", "size": _size, "listed": _listed}
    environment.filters |= filters
    ranked = coverage.ranked() if coverage else []
    page = environment.get_template("legend.html.j2").render(
        ontology=rules, words=words, evidence=evidence, coverage=coverage, kinds=KINDS, shown=_SHOWN,
        fallen=[row for row in ranked if row.fell.objects], label_set=label_set,
        labelled=[row for row in ranked if not row.fell.objects], files=len(features),
    )  # fmt: skip
    table = _csv(ranked).encode()
    with replacing(output.with_suffix(".csv")) as part:
        part.write_bytes(table)
    write_page(output, page + beside(table))
    log.info(
        "legend: %d tags, %d of them with objects that no rule fits",
        len(ranked),
        sum(row.fell.objects > 0 for row in ranked),
    )


def cover(ontology: Ontology, batches: Iterator[pd.DataFrame]) -> Coverage:
    """Hold features (columns kind, tags, geometry: EPSG:4326) against an ontology of tags or attributes."""
    matcher = Matcher(ontology)
    # Other keys only tell more about an object, and fields that no rule looks at cannot label it.
    keys = set(LABEL_KEYS) | ontology.keys() if ontology.kind == "tags" else ontology.keys()
    found = Coverage(categories={category.name: Amount() for category in ontology.categories})
    for batch in batches:
        area, length = sizes(batch["geometry"].to_numpy())
        sums = (
            batch[["tags", "kind"]].assign(objects=1, area_km2=area, length_km=length)
            .groupby(["tags", "kind"], sort=True, observed=True).sum()
        )  # fmt: skip
        for (document, kind), *amount in sums.itertuples():
            _count(found, matcher, keys, document, kind, (int(amount[0]), float(amount[1]), float(amount[2])))
    return found


def _count(
    found: Coverage, matcher: Matcher, keys: set[str], document: str, kind: str, amount: tuple[int, float, float]
) -> None:
    """Count objects that are of the same kind and have the same tags."""
    tags, seen = matcher.tags(document), matcher.seen(document)
    fits = _names(matcher, document, kind)
    for name in fits & set(found.categories):
        found.categories[name].add(*amount)
    found.all[kind].add(*amount)
    is_hidden = not keys & set(seen) and bool(keys & set(tags))
    if not fits:
        (found.hidden if is_hidden else found.fell)[kind].add(*amount)
    for key in keys & set(tags):
        row = found.rows.setdefault((key, tags[key], kind), Row(key, tags[key], kind))
        row.all.add(*amount)
        if key not in seen:
            row.hidden.add(*amount)
        elif fits:
            for name in fits:
                row.fits[name] = row.fits.get(name, 0) + amount[0]
        else:
            row.fell.add(*amount)
            others = ((name, other) for other in KINDS if other != kind for name in _names(matcher, document, other))
            row.otherwise |= {f"{name} (as {other})" for name, other in others}


def _names(matcher: Matcher, document: str, kind: str) -> set[str]:
    """Categories, `none of <channel>`, or that the class is known."""
    ontology = matcher.ontology
    names = set()
    for number in matcher.of(document, kind):
        if number < len(matcher.rules):
            names.add(matcher.rules[number][0].name)
        else:
            names.add(f"none of {ontology.channels[matcher.nones[number - len(matcher.rules)][0]].name}")
    if not names and any(rule.fits(matcher.seen(document)) for rule in ontology.unlabeled):
        names.add("known, no label")
    return names


def sizes(geometry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area in km² (polygons; 0 of others) and length in km (lines; 0 of others) of EPSG:4326 geometries, on the ellipsoid."""
    area, length = np.zeros(len(geometry)), np.zeros(len(geometry))
    dimension = shapely.get_dimensions(geometry)
    to_equal_area = pyproj.Transformer.from_crs(4326, _EQUAL_AREA, always_xy=True)
    polygons = np.flatnonzero(dimension == 2)
    flat = shapely.transform(
        geometry[polygons], lambda lonlat: np.column_stack(to_equal_area.transform(lonlat[:, 0], lonlat[:, 1]))
    )
    area[polygons] = shapely.area(flat) / 1e6
    lines = np.flatnonzero(dimension == 1)
    parts, owner = shapely.get_parts(geometry[lines], return_index=True)
    lonlat, part = shapely.get_coordinates(parts, return_index=True)
    joined = np.flatnonzero(part[1:] == part[:-1])
    if len(joined):
        (west, south), (east, north) = lonlat[joined].T, lonlat[joined + 1].T
        metres = _GEOD.inv(west, south, east, north)[2]
        length[lines] = np.bincount(owner[part[joined]], metres, minlength=len(lines)) / 1000
    return area, length


def _batches(features: Sequence[Path], label_set: str | None) -> Iterator[pd.DataFrame]:
    """The wanted features of all tables, each object once, a row group or less at a time."""
    seen: dict[tuple[str, str], np.ndarray] = {}
    for path in features:
        wanted = _wanted(path, label_set)
        table = pq.ParquetFile(path)
        columns = ["source_type", "source_id", "kind", "tags", "geometry", *([] if wanted is None else ["label_set"])]
        here: dict[tuple[str, str], list[np.ndarray]] = {}
        for number in range(table.num_row_groups):
            for batch in table.iter_batches(_BATCH, row_groups=[number], columns=columns):
                frame = batch.to_pandas()
                if wanted is not None:
                    frame = frame[frame["label_set"] == wanted]
                new = np.ones(len(frame), dtype=bool)
                for name, at in frame.groupby(["source_type", "kind"], observed=True).indices.items():
                    ids = frame["source_id"].to_numpy()[at]
                    new[at] = ~np.isin(ids, seen.get(name, np.empty(0, np.int64)))
                    here.setdefault(name, []).append(ids[new[at]])
                frame = frame[new]
                if len(frame):
                    yield frame.assign(geometry=shapely.from_wkb(frame["geometry"].to_numpy()))
        for name, several in here.items():
            seen[name] = np.union1d(seen.get(name, np.empty(0, np.int64)), np.concatenate(several))


def _wanted(path: Path, label_set: str | None) -> str | None:
    """The label set that counts in a table; None where the table has no label sets: a normalised source."""
    about = table_metadata(path)
    if "label_sets" not in about:
        return None
    there = sorted(about["label_sets"])
    if label_set is None and len(there) == 1:
        return there[0]
    if label_set is None:
        raise TilewrightError(
            f"{path}: has the label sets {', '.join(there) or '(none)'}: name the one that is meant (--label-set)"
        )
    if label_set not in there:
        raise TilewrightError(f"{path}: has no label set {label_set!r}, but {', '.join(there) or 'none at all'}")
    return label_set


def words(rule: NoneRule, ontology: Ontology) -> str:
    """A rule as one reads it out: `building = house · areas and points · widened by 30 m (disk)`."""
    if rule.pixels is not None:
        return "value " + _either([str(value) for value in rule.pixels])
    parts = [
        " or ".join(f"{key} = {_values(values, rule.exclude.get(key, []))}" for key, values in rule.matches.items())
    ]
    parts += [f"with {key} = {_values(values, [])}" for key, values in rule.requires.items()]
    if isinstance(rule, Rule):
        if rule.kinds != ["area"]:
            parts.append(" and ".join(f"{kind}s" for kind in rule.kinds))
        if rule.dilate_m:
            parts.append(f"widened by {rule.dilate_m:g} m ({rule.dilate or ontology.dilate})")
        if rule.implies_none is not None:
            parts.append(f"evidence of no {_either(rule.implies_none)}" if rule.implies_none else "no evidence of none")
    return " · ".join(parts)


def evidence(ontology: Ontology, channel: str) -> list[str]:
    """What tells that a channel is none, in words."""
    found = [words(rule, ontology) for each in ontology.channels if each.name == channel for rule in each.none]
    names = [each.name for each in ontology.categories if channel in each.implies_none]
    return [*found, f"areas of {_either(names)}, undilated and shrunk by a pixel"] if names else found


def _size(value: float) -> str:
    """km² or km to three decimals, or two digits where that would say little; nothing for nothing."""
    if value == 0:
        return ""
    return f"{value:,.3f}" if value >= 0.01 else f"{value:.4f}" if value >= 0.0001 else "< 0.0001"


def _values(values: Sequence[str], excluded: Sequence[str]) -> str:
    if "*" not in values:
        return _either(values)
    return f"anything but {_either(excluded)}" if excluded else "anything"


def _either(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    amounts = [f"{which}{what}" for which in ("", "fell_", "hidden_") for what in ("objects", "area_km2", "length_km")]
    table.writerow(["key", "value", "kind", *amounts, "fits", "fits_as_other_kind"])
    for row in rows:
        numbers: list[Any] = []
        for amount in (row.all, row.fell, row.hidden):
            numbers += [amount.objects, f"{amount.area_km2:.6f}", f"{amount.length_km:.6f}"]
        table.writerow([row.key, row.value, row.kind, *numbers, _listed(row.fits), "; ".join(sorted(row.otherwise))])
    return text.getvalue()


def _listed(fits: Mapping[str, int]) -> str:
    return "; ".join(
        f"{name}: {objects}" for name, objects in sorted(fits.items(), key=lambda each: (-each[1], each[0]))
    )
