"""Datasets in the layouts of others: what is in the stores, as files that tools made for the originals read."""

from tilewright.exports.tile import make_export_tile
from tilewright.exports.whole import make_export

__all__ = ["make_export", "make_export_tile"]
