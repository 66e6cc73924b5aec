"""What the rules ask of one dataset's config: settings by stage, tiles by zone, input files."""

from tilewright.rules.dataset import DatasetConfig

__all__ = ["DatasetConfig"]
