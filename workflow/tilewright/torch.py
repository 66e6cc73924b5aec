"""Datasets for PyTorch: `tilewright.torch.SeriesDataset`. Needs `pip install torch`; nothing else of tilewright does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import torch
    from torch.utils.data import Dataset as TorchDataset
    from torch.utils.data import default_collate
except ImportError as error:
    raise ImportError("tilewright.torch needs PyTorch: pip install torch", name="torch") from error

from tilewright.config.bands import PRIMARY
from tilewright.errors import TilewrightError
from tilewright.loader import Dataset
from tilewright.loader.labels import fill_of
from tilewright.loader.resample import Resampling
from tilewright.loader.sample import SampleOptions, SampleReader
from tilewright.loader.times import NO_TIME, Sampling, Season

Sample = dict[str, Any]


class SeriesDataset(TorchDataset[Sample]):
    """The series and labels of a dataset's cells, one sample a cell: map-style, picklable, for any number of workers.

    A sample is a dict of tensors, which torch's own collate batches where `dates` (or a season pair) fixes its length;
    `collate_series` pads samples of different lengths.

    * `image`: (time, band, y, x) under `r10m`, `r20m`, `r60m`; with `resolution_m` one tensor of all bands. Radar is
      float32 as stored (dB), NaN where there is no data
    * `pixel_valid`: (time, y, x) bool likewise: SCL is not "no data" and not all stored bands are zero; of radar: no band asked
      for is NaN
    * `scl`: (time, y, x) uint8, of s2_l2a
    * `time`: (time,) int64 microseconds since 1970-01-01 UTC (`tilewright.loader.iso_times` spells them)
    * `valid`: (time,) bool, False in padding, whose pixels are 0 and whose times are the least int64 (numpy's NaT)
    * `labels`: (channel, y, x) uint8 by label set, 254 none, 255 unlabeled; float32 (1, y, x) of a static layer, NaN: no
      data. Of a family (sets of several years) there is a first axis time: for each date the labels of its year, and
      `label_valid`, (time,) bool by family, says for which dates there are any
    * `label_arrays`, where asked for: further arrays by label set and name
    * `orbit`, of radar: (time,) int8, 1 ascending, -1 descending, 0 not known
    * `cell`: cell_id, tile, split, epsg, ulx, uly, lon, lat, size_m

    With `collections` image, pixel_valid, time and orbit are dicts by collection, all on the dates of s2_l2a: a companion stands
    at the date that it is paired with. `present`, (time,) bool by collection, is False where a date has no companion: its
    pixels are then 0, of radar NaN, and not valid. `torch.nan_to_num` after `pixel_valid` was looked at makes NaN harmless.

    Random choices are of seed, epoch and cell, so a sample is the same whichever worker makes it. Call `set_epoch` before
    each epoch; it reaches workers that are already running (`persistent_workers`) too.

    A dataset on a server (https, s3) must be read in workers started anew:
    `DataLoader(..., multiprocessing_context="spawn")`.
    """

    def __init__(
        self,
        dataset: Dataset | str | Path,
        *,
        split: str | None = None,
        rows: object = None,
        collection: str = PRIMARY,
        bands: Sequence[str] | None = None,
        collections: Mapping[str, Sequence[str] | None] | None = None,
        complete: bool = False,
        labels: Sequence[str] | None = None,
        label_arrays: Sequence[str] = (),
        scale: bool = True,
        resolution_m: int | None = None,
        resampling: Resampling = "bilinear",
        dates: int | None = None,
        sampling: Sampling = "first",
        season: Season = "quarter",
        min_dates: int = 1,
        seed: int = 0,
        transform: Callable[[Sample], Any] | None = None,
    ) -> None:
        """Check everything that can be wrong, so that no worker fails of it later.

        Args:
            dataset: what `tilewright.open` returned (whose `memory_mb` says how much open stores may take in each worker), or
                a folder or URL.
            split: train, val or test; of splits by year each cell has the dates of the split's years.
            rows: instead, a part of the dataset's index, or cell ids. Without either all cells that are accepted. Cells without
                imagery are left out, with a warning.
            collection: whose series, on its own dates.
            bands: its bands by name, in the order wanted; all where left out.
            collections: instead of these two, several collections on the dates of s2_l2a, each with its bands (None for all):
                {"s2_l2a": ["B04", "B03", "B02"], "s1_grd": ["VV", "VH"]}.
            complete: with several collections only dates of which every one of them has a scene.
            labels: label sets, or names of families, joined by the year of each date; all sets where left out, [] for none.
            label_arrays: further arrays of these sets: instance, parcel_coverage, distance, claims, claims_same, targets,
                ignore.
            scale: reflectance as float32 (DN × scale_factor), or DN as stored (uint16; float32 where `resolution_m` is
                given and resampling is bilinear, which has fractions of DN).
            resolution_m: one grid for all bands, masks and labels; where left out, each keeps its own.
            resampling: of bands onto that grid, bilinear or nearest, by pixel centres (`tilewright.loader.resample`); radar in
                linear power, whatever it is stored as.
            dates: how many dates a sample has; fewer are padded. All that the cell has where left out. Fewer do not cost
                less to read: a sample unpacks the cell's whole series.
            sampling: which dates where a cell has more: first, last, even, random; or season_pair: two dates of different
                seasons in random order: as SSL4EO-S12's RandomSeasonContrast, but never the same season twice.
            season: what season_pair tells apart: quarter (of the year, December to February and so on), period (of the
                config), or date (any two different ones). Cells that have only one are left out, with a warning.
            min_dates: cells with fewer are left out.
            seed: of random and season_pair.
            transform: called with each sample; what it returns is the sample. Picklable for spawned workers.

        Raises:
            TilewrightError: naming the argument that is wrong.
        """
        if transform is not None and not callable(transform):
            raise TilewrightError(f"transform: {transform!r} cannot be called")
        options = SampleOptions(
            collection=collection, bands=bands, collections=collections, complete=complete, labels=labels,
            label_arrays=label_arrays, scale=scale, resolution_m=resolution_m, resampling=resampling, dates=dates,
            sampling=sampling, season=season, min_dates=min_dates, seed=seed,
        )  # fmt: skip
        self.samples = SampleReader(dataset, options, split=split, rows=rows)
        self.transform = transform
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __repr__(self) -> str:
        """How many samples of what, and their bands."""
        several = self.samples.options.collections is not None
        of = {f"{key} ": groups for key, groups in self.bands.items()} if several else {"": self.bands}
        bands = "; ".join(
            f"{key}{group} {' '.join(names)}" for key, each in of.items() for group, names in each.items()
        )
        return f"SeriesDataset({self.samples.reader.files.name('').rstrip('/')!r}: {len(self)} cells; {bands})"

    def __len__(self) -> int:
        """Number of samples: cells."""
        return len(self.samples)

    @property
    def bands(self) -> dict[str, Any]:
        """Names along the band axis, by group; with `resolution_m` under "image"; with `collections` by collection first."""
        return self.samples.bands

    def set_epoch(self, epoch: int) -> None:
        """Let random choices be those of `epoch`, in this process and in workers that read this dataset."""
        self._epoch.fill_(epoch)

    def __getitem__(self, position: int) -> Any:
        """The sample at `position`.

        Raises:
            IndexError: beyond the end.
            TilewrightError: where a store cannot be read or is damaged.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"sample {position} of {len(self)}")
        sample = _tensors(self.samples.sample(position % len(self), int(self._epoch)))
        return sample if self.transform is None else self.transform(sample)


def _tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tensors(each) for name, each in value.items()}
    return torch.from_numpy(value) if hasattr(value, "__array_interface__") else value


def collate_series(samples: Sequence[Sample]) -> Sample:
    """A batch of samples of different lengths: padded in time to the longest, then batched as torch does.

    `valid`, `present` and `label_valid` are False in padding, labels joined by year as where there are none of the year,
    radar's pixels NaN.
    """
    length = max(len(sample["valid"]) for sample in samples)
    return default_collate([_longer(sample, length) for sample in samples])


def _longer(sample: Sample, length: int) -> Sample:
    """The sample with its axes of time filled up to `length`."""
    found = dict(sample)
    for name in ("pixel_valid", "scl", "time", "valid", "present", "orbit"):
        if name in sample:
            found[name] = _filled(sample[name], length, NO_TIME if name == "time" else 0)
    found["image"] = _longer_images(sample, length)
    if families := sample.get("label_valid"):
        found["label_valid"] = _filled(families, length, 0)
        for name in ("labels", "label_arrays"):
            if name in sample:
                found[name] = {
                    key: _filled_labels(each, length) if key in families else each for key, each in sample[name].items()
                }
    return found


def _longer_images(sample: Sample, length: int) -> Any:
    """Radar, which is told by its `orbit`, is NaN in padding, as the reader's is."""
    images, radar = sample["image"], sample.get("orbit", {})
    if "present" not in sample:
        return _filled(images, length, float("nan") if "orbit" in sample else 0)
    return {key: _filled(each, length, float("nan") if key in radar else 0) for key, each in images.items()}


def _filled_labels(value: Any, length: int) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, length, fill_of(name, each.is_floating_point())) for name, each in value.items()}
    return _filled(value, length, fill_of("labels", value.is_floating_point()))


def _filled(value: Any, length: int, fill: float) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, length, fill) for name, each in value.items()}
    if len(value) == length:
        return value
    return torch.cat([value, value.new_full((length - len(value), *value.shape[1:]), fill)])
