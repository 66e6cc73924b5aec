"""Reading a dataset: `tilewright.open`, and a cell's arrays straight from its tile's store."""

from tilewright.loader.dataset import Dataset, open
from tilewright.loader.options import SampleOptions
from tilewright.loader.sample import SampleReader
from tilewright.loader.series import Series, SeriesReader
from tilewright.loader.times import iso_times

__all__ = ["Dataset", "SampleOptions", "SampleReader", "Series", "SeriesReader", "iso_times", "open"]
