"""Whether the simulated world is there: Snakemake makes it where it is not, and anew where the config tells of another one."""

from tilewright.rules import DatasetConfig
from tilewright.simulate.items import world_digest


def is_made(dataset: DatasetConfig) -> bool:
    """Whether the world that the config describes has been made: its catalog names it by its digest."""
    settings, catalog = dataset.config.simulate, dataset.simulated_catalog()
    return settings is not None and catalog.is_file() and world_digest(settings) in catalog.read_text()
