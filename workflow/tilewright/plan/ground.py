"""Where the cells will be: how many a tile has, and, of a sample of tiles, which."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import shapely

from tilewright.config.cell_settings import CellsSettings, Sample
from tilewright.config.location_settings import LocationsSettings
from tilewright.config.settings import parsed
from tilewright.grid import placed, tile
from tilewright.rules import DatasetConfig
from tilewright.stages import cells, locations

COUNTED: Final = 100
"""So many tiles at most are sampled for their number of cells alone, as the stage `cells` does it: some 40 ms of CPU each."""


@dataclass(frozen=True)
class Ground:
    """The tiles of the dataset and their cells.

    Attributes:
        zones: zone → its tiles, sorted.
        cells: tile → its cells, of all tiles; of those that were not counted an estimate.
        sample: tile → its cells as the rows of cells.parquet, of the tiles that are looked at.
        known: words, what the numbers of cells rest on.
        exact: whether every tile was counted.
    """

    zones: dict[str, list[str]]
    cells: dict[str, float]
    sample: dict[str, pd.DataFrame]
    known: str
    exact: bool

    @property
    def tiles(self) -> list[str]:
        """All tiles, zone by zone."""
        return [name for names in self.zones.values() for name in names]

    @property
    def total(self) -> float:
        """Cells of the dataset."""
        return sum(self.cells.values())


def survey(dataset: DatasetConfig, looked_at: int) -> Ground:
    """Count the cells of up to `COUNTED` tiles, and keep those of up to `looked_at` of them that have any.

    Nothing is written. Of many tiles every so manieth is taken, from south to north, since how often satellites pass depends on the
    latitude; the others have as many cells as these on average, in proportion to their places where cells are around places.

    Raises:
        TilewrightError: an AOI, a raster or places that do not serve.
    """
    weight: Mapping[str, int] = {}
    places: dict[str, pd.DataFrame] = {}
    if dataset.config.aoi.cities is not None:
        places = {str(name): rows for name, rows in _cities(dataset).groupby("tile")}
        weight = {name: len(rows) for name, rows in places.items()}
    elif dataset.config.aoi.own is not None:
        weight = Counter(dataset.samples.placed.tile.tolist())
    zones = _by_zone(sorted(places)) if places else dataset.tiles_by_zone()
    names = sorted((name for each in zones.values() for name in each), key=_from_the_south)
    if weight and _keeps_all(dataset):  # every place has its cell
        number = {name: float(weight[name]) for name in names}
        sample = {name: _sampled(dataset, name, places.get(name)) for name in spread(names, looked_at)}
        return Ground(zones, number, sample, "a cell for each place", True)
    counted = {name: _sampled(dataset, name, places.get(name)) for name in spread(names, max(COUNTED, looked_at))}
    held, of = sum(map(len, counted.values())), sum(weight.get(name, 1) for name in counted)
    number = {name: float(len(counted[name])) if name in counted else held / of * weight.get(name, 1) for name in names}
    sample = {name: counted[name] for name in spread([name for name in counted if len(counted[name])], looked_at)}
    exact = len(counted) == len(names)
    known = (
        "as the stage cells makes them" if exact else f"as the stage cells makes them in {len(counted)} of the tiles"
    )
    if (label_set := dataset.config.cells.labelled_by) and not _truth(dataset):
        known, exact = f"{known}; at most, as the source of {label_set} has not been read", False
    return Ground(zones, number, sample, known, exact)


def spread(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly spread over their order."""
    if len(names) <= most:
        return list(names)
    return [names[int(at)] for at in (np.arange(most) + 0.5) * len(names) / most]


def _from_the_south(name: str) -> tuple[str, str]:
    """By latitude band (the third letter), then zone."""
    return name[2], name


def _by_zone(names: Sequence[str]) -> dict[str, list[str]]:
    zones: dict[str, list[str]] = {}
    for name in names:
        zones.setdefault(tile(name).zone, []).append(name)
    return dict(sorted(zones.items()))


def _keeps_all(dataset: DatasetConfig) -> bool:
    """Whether no cell is dropped for what it shows or by a draw."""
    told = dataset.config.cells
    drawn = told.number is not None or (told.fraction or 1) < 1
    return not (drawn or told.activity or told.water or told.labelled_by)


def _truth(dataset: DatasetConfig) -> Path | None:
    """The normalised source that cells must meet, where an earlier run has read it."""
    wanted = dataset.config.cells.labelled_by
    if wanted is None:
        return None
    path = Path(f"results/{dataset.name}/sources/{dataset.sources[wanted]}.parquet")
    return path if path.is_file() else None


def _sampled(dataset: DatasetConfig, name: str, places: pd.DataFrame | None) -> pd.DataFrame:
    """The tile's cells, as the stage makes them; `places`: those around cities."""
    if places is None:
        settings = parsed(CellsSettings, dataset.settings("cells", tile=name))
    else:
        told = dataset.config.cells
        columns = (places[column].tolist() for column in ("sample", "ulx", "uly", "city"))
        samples = [
            Sample(sample=number, ulx=ulx, uly=uly, label=city) for number, ulx, uly, city in zip(*columns, strict=True)
        ]
        settings = CellsSettings(
            seed=dataset.config.seed, strategy=told.strategy, size_m=told.size_m, reference=told.reference,
            fraction=told.fraction, number=told.number, activity=told.activity, water=told.water,
            labelled_by=told.labelled_by, samples=samples,
        )  # fmt: skip
    truth = _truth(dataset)
    if truth is None:
        settings = settings.model_copy(update={"labelled_by": None})
    found = cells.sampled(name, settings, truth)[0].to_pandas()
    return found.assign(geometry=shapely.from_wkb(found["geometry"].to_numpy()))


def _cities(dataset: DatasetConfig) -> pd.DataFrame:
    """The places around cities, drawn as the stage `locations` does: sample, city, tile, ulx, uly, in the order of the draw.

    Raises:
        TilewrightError: a table of cities that cannot be used.
    """
    cities, size_m = dataset.config.aoi.cities, dataset.config.cells.size_m
    assert cities is not None
    drawn = locations.sampled(LocationsSettings(seed=dataset.config.seed, size_m=size_m, cities=cities))[0]
    rows = pd.DataFrame(drawn)
    rows = rows[rows["tile"] != ""]
    at = placed(rows["lon"].to_numpy(), rows["lat"].to_numpy(), size_m)
    return rows[["sample", "city", "tile"]].assign(ulx=at.ulx, uly=at.uly)
