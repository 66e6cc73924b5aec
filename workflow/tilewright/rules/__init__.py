"""What the rules ask of one dataset's config: settings by stage, tiles by zone, input files."""

from tilewright.rules.dataset import DatasetConfig
from tilewright.rules.project import PROJECT, config_files

__all__ = ["PROJECT", "DatasetConfig", "config_files"]
