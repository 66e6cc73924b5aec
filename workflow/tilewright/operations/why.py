"""Why a cell has the dates that it has, or none, and what became of a scene: the walk of the selection, period by period."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from tilewright.config.bands import PRIMARY
from tilewright.errors import TilewrightError
from tilewright.operations import places
from tilewright.operations.refusals import kind_of
from tilewright.select import MISSING, REFUSED, UNNEEDED, USED
from tilewright.store.table import read_table, table_metadata

# Which limits of the rule a reason is of.
_LIMITS: Final = {
    "bad": "max_bad", "nodata": "max_nodata", "cloud": "max_cloud", "shadow": "max_shadow", "too little snow": "min_snow", "snow": "max_snow",
    "scene cloud": "max_scene_cloud", "intensity": "intensity",
}  # fmt: skip


def why(folder: Path, name: str, periods: Sequence[str] | None) -> str:
    """What became of the cell or the scene of that name.

    Args:
        folder: the dataset's.
        periods: in this order; None: those that are there.

    Raises:
        TilewrightError: where no cell and no scene is called so, or a table is damaged.
    """
    tile = name.split("-")[0]
    if places.TILE.fullmatch(tile):
        lines = list(_cell(folder, tile, name, periods))
    else:
        lines = next(filter(None, (list(_scene(each, name, periods)) for each in _tiles_of(folder, name))), [])
    if not lines:
        raise TilewrightError(
            f"{name} is neither a cell nor a scene of {folder}: a cell's id begins with its tile, such as 32TQM-387-2422, and is in "
            "cells.parquet of that tile; a scene's is that of its STAC item, in scenes.parquet of a tile's periods"
        )
    return "\n".join(lines) + "\n"


def _periods_of(tile: Path, periods: Sequence[str] | None) -> list[str]:
    if periods is not None:
        return list(periods)
    within = {path.name: [each.name for each in path.iterdir()] for path in tile.iterdir() if path.is_dir()}
    return sorted(name for name, names in within.items() if places.is_period(name, names))


def _cell(folder: Path, tile: str, name: str, periods: Sequence[str] | None) -> Iterator[str]:
    """Nothing where the tile has no such cell."""
    place = folder / places.TILES / tile
    if not (place / places.CELLS).exists():
        return
    cells = read_table(place / places.CELLS, columns=["cell_id", "epsg", "ulx", "uly", "size_m", "lon", "lat"])
    own = cells[cells["cell_id"] == name]
    if own.empty:
        return
    cell = own.iloc[0]
    yield (
        f"cell {name}: {cell['size_m']} m from {cell['ulx']}, {cell['uly']} in EPSG:{cell['epsg']}, around {cell['lat']:.5f}° N {cell['lon']:.5f}° E"
    )
    yield from _of_index(folder, name)
    for period in _periods_of(place, periods):
        yield ""
        yield from _walk(place / period, name)


def _of_index(folder: Path, name: str) -> Iterator[str]:
    """What the index says of the cell."""
    if not (folder / places.INDEX).exists():
        yield "the dataset has no index yet"
        return
    index = read_table(
        folder / places.INDEX, columns=["cell_id", "dates", "complete", "accepted", "accepted_rank", "split"]
    )
    rows = index[index["cell_id"] == name]
    if rows.empty:
        yield "not in the index, which was made without it: run snakemake"
        return
    row = rows.iloc[0]
    if row["accepted"]:
        split = f"split {row['split']}" if row["split"] else "in no split"
        yield f"of the dataset: {row['dates']} dates, {split}, place {row['accepted_rank']} in the order of the draw"
    else:
        lacks = (
            "beyond accept.number"
            if row["complete"]
            else "it lacks a date, or a companion, in a period that accept.periods names"
        )
        yield f"not of the dataset, with {row['dates']} dates: {lacks}"


def _walk(period: Path, cell: str) -> Iterator[str]:
    """The scenes of a period in the order in which they were looked at for a cell, with the companions of those that were used."""
    if not (period / places.SELECTION).exists():
        yield f"period {period.name}: not cropped yet"
        return
    rule = table_metadata(period / places.SELECTION)["rule"]
    chosen = read_table(period / places.SELECTION)
    own = chosen[chosen["cell_id"] == cell]
    primary = own[own["collection"] == PRIMARY].sort_values("rank", kind="stable")
    used = int((primary["status"] == USED).sum())
    yield f"period {period.name}: {used} of {rule['scenes']} scenes, in the order {rule['order']}; limits: {_limits(rule['limits'])}"
    if primary.empty:
        yield "    the search found no scene"
        return
    times = read_table(period / places.SCENES, columns=["scene_id", "datetime"]).set_index("scene_id")["datetime"]
    rows = [["rank", "scene", "taken (UTC)", "bad", "nodata", ""]]
    for one in primary.itertuples():
        rows.append([str(one.rank), str(one.scene_id), _time(times, str(one.scene_id)), _share(one.bad_fraction), _share(one.nodata_fraction), _said(one, rule["limits"])])  # fmt: skip
        for other in own[own["pair_of"] == one.scene_id].itertuples():
            shares = ["", _share(other.nodata_fraction)]
            said = _said(other, rule.get("companions", {}).get(other.collection, {}), "pair.")
            rows.append(["", f"  {other.collection} {other.scene_id}".rstrip(), "", *shares, said])
    yield from _table(rows)


def _said(row: Any, limits: dict[str, Any], below: str = "") -> str:
    """What became of a scene for a cell.

    Args:
        limits: those that it had to keep: the period's, or of a companion those under its collection's `pair`.
        below: what the config has before their names.
    """
    if row.status != REFUSED:
        return {UNNEEDED: "not needed: enough others", MISSING: f"none that fits: {row.reason}"}.get(
            row.status, str(row.status)
        )
    name = _LIMITS.get(kind_of(str(row.reason)), "")
    limit = limits.get(name)
    return f"refused: {row.reason}{f' ({below}{name} {_worded(limit)})' if limit is not None else ''}"


def _limits(limits: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_worded(value)}" for name, value in limits.items() if value is not None)


def _worded(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {_worded(each)}" for name, each in value.items())
    return (
        f"{value:g}"
        if isinstance(value, int | float)
        else " ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )


def _share(value: float) -> str:
    return "" if pd.isna(value) else f"{100 * value:.1f} %"


def _time(times: pd.Series, scene: str) -> str:
    return f"{times.loc[scene]:%Y-%m-%d %H:%M}" if scene in times.index else ""


def _tiles_of(folder: Path, scene: str) -> list[Path]:
    """The tiles that a scene may be of, those first that its id names."""
    tiles = sorted(path for path in (folder / places.TILES).glob("*") if places.TILE.fullmatch(path.name))
    named = set(re.findall(places.TILE.pattern, scene))
    return sorted(tiles, key=lambda path: path.name not in named)


def _scene(tile: Path, name: str, periods: Sequence[str] | None) -> Iterator[str]:
    """Nothing where no period of the tile has such a scene."""
    told = False
    for period in _periods_of(tile, periods):
        for table in (places.SCENES, places.COMPANIONS):
            if not (tile / period / table).exists():
                continue
            scenes = read_table(tile / period / table, columns=["collection", "scene_id", "datetime", "platform", "relative_orbit", "processing_baseline", "acquisition", "cloud_cover", "dn_offset", "radiometry", "refused"])  # fmt: skip
            for scene in scenes[scenes["scene_id"] == name].itertuples():
                if not told:
                    yield from _about(scene, tile.name)
                    told = True
                yield ""
                yield from _uses(tile / period, scene)


def _about(scene: Any, tile: str) -> Iterator[str]:
    yield f"scene {scene.scene_id} of {scene.collection}, tile {tile}: {scene.datetime:%Y-%m-%d %H:%M:%S} UTC, {scene.platform}, orbit {scene.relative_orbit}"
    cloud = "not told" if pd.isna(scene.cloud_cover) else f"{scene.cloud_cover:g} %"
    baseline = f", processing baseline {scene.processing_baseline}" if scene.processing_baseline else ""
    yield f"cloud cover by the catalog: {cloud}{baseline}"
    if scene.radiometry:
        yield f"offset of its numbers: {scene.dn_offset:+d} DN; {scene.radiometry}"
    if scene.acquisition and scene.acquisition != scene.scene_id:
        yield f"a part of the acquisition {scene.acquisition}"


def _uses(period: Path, scene: Any) -> Iterator[str]:
    """In how many cells a scene serves in a period, and why not in the others."""
    if scene.refused:
        yield f"period {period.name}: refused by the search for all cells: {scene.refused}"
        return
    if not (period / places.SELECTION).exists():
        yield f"period {period.name}: found; not cropped yet"
        return
    chosen = read_table(period / places.SELECTION)
    own = chosen[chosen["scene_id"].isin([scene.scene_id, scene.acquisition or scene.scene_id])]
    counts = Counter(own["status"])
    yield (
        f"period {period.name}: used in {counts[USED]} cells, refused in {counts[REFUSED]}, not needed in {counts[UNNEEDED]}"
        f"{'' if len(own) else ': no cell lies in it, or in its window'}"
    )
    for reason, count in Counter(own.loc[own["status"] == REFUSED, "reason"]).most_common():
        yield f"    refused in {count}: {reason}"


def _table(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield ("    " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True))).rstrip()
