"""What of a config can be checked before any job starts, beyond its own text: the files that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.config.label_files import files, files_of_years
from tilewright.config.label_sets import VectorFile
from tilewright.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.rules.dataset import DatasetConfig


def check_files(dataset: "DatasetConfig") -> None:
    """Files that the user names must be there, unless the workflow makes them; ontologies must be whole.

    Raises:
        TilewrightError: naming the first that is not.
    """
    for name, each in dataset.config.labels.items():
        for key, path in files(each) if each.years is None else files_of_years(each):
            if not path.exists() and not dataset.is_simulated(path):  # a geodatabase is a folder
                raise TilewrightError(f"labels.{name}.{key}: {path}: no such file; put it there or mend the path")
    _check_ontologies(dataset)
    for catalog in map(Path, dataset.catalogs(list(dataset.providers))):
        if not catalog.is_file() and not dataset.is_simulated(catalog):
            raise TilewrightError(f"provider: catalog {catalog}: no such file; mend its path")
    cells = dataset.config.cells
    named = [(f"cells.activity.files: {path}", path) for path in (cells.activity.files if cells.activity else [])]
    named += [(f"cells.water.file: {cells.water.file}", cells.water.file)] if cells.water else []
    named += [(f"aoi.cities.table: {path}", path) for path in dataset.city_table]
    if dataset.config.aoi.file:
        named.append((f"aoi.file: {dataset.config.aoi.file}", dataset.config.aoi.file))
    if dataset.config.aoi.own:
        key, places = dataset.config.aoi.own
        named.append((f"aoi.{key}.path: {places.path}", places.path))
    named += [(f"{key}: {path}", str(path)) for key, path in dataset.files_of_index]
    for key, file in named:
        if not Path(file).is_file():
            raise TilewrightError(f"{key}: no such file; mend the path")


def _check_ontologies(dataset: "DatasetConfig") -> None:
    """Ontologies are whole, and speak of what their sources have: tags, attributes or pixels."""
    from tilewright.vector.ontology_file import load_ontology

    ontologies = {}
    for name, each in dataset.config.labels.items():
        if each.ontology is None:
            continue
        ontology = ontologies[name] = load_ontology(Path(dataset.ontologies[name]), each.source.kind)
        if isinstance(each.source, VectorFile):
            lacking = sorted(ontology.keys() - set(each.source.attributes))
            if lacking:
                raise TilewrightError(
                    f"labels.{name}.source.attributes: lacks {', '.join(lacking)}, which the rules of "
                    f"{dataset.ontologies[name]} look at; add it"
                )
        if each.parcels is not None and len(ontology.channels) > 1:
            raise TilewrightError(
                f"labels.{name}.parcels: need an ontology of one channel; {dataset.ontologies[name]} has {len(ontology.channels)}"
            )

    _check_columns(dataset, ontologies)


def _check_columns(dataset: "DatasetConfig", ontologies: Mapping[str, Any]) -> None:
    """The index has a column for each class: two must not have one name."""
    columns: dict[str, str] = {}
    for family, ontology in ontologies.items():
        for name in dataset.config.labels[family].by_year(family):
            for category in ontology.categories:
                column = f"{name}_{category.channel}_{category.name}"
                what = f"labels.{name}: category {category.name} of channel {category.channel}"
                if column in columns:
                    raise TilewrightError(
                        f"{what} and {columns[column]} would both be share_{column} in the index: rename one of them"
                    )
                columns[column] = what
