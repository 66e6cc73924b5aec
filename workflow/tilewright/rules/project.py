"""Where the project is, and which config a command takes that gets none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[3]
"""The project's folder: where the Snakefile, config/providers and config/ontologies are."""

_DEFAULT: Final = Path("config/config.yaml")


def config_files(given: Sequence[Path] = ()) -> list[Path]:
    """Those that are given; else config/config.yaml of the working folder or, without it, the project's, as Snakemake takes them."""
    return list(given) or [path for path in (_DEFAULT, PROJECT / _DEFAULT) if path.is_file()][:1]
