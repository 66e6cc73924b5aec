"""What the label stages are told: the leaves of the config that the rules `source`, `features` and `labels` hand over."""

from typing import Literal

from pydantic import Field

from tilewright.config.base import Model, Name
from tilewright.config.label_sets import (
    LabelResolution,
    OsmFile,
    Overpass,
    Parcels,
    RasterFile,
    Regions,
    VectorFile,
    Year,
)


class SourceSettings(Model):
    """Settings of the stage `source`: a file of features, normalised once for all tiles."""

    source: OsmFile | VectorFile = Field(
        discriminator="kind", description="its licence is left out: a reworded one reads no file again"
    )
    year: Year | None = Field(
        None, description="where the source has a field with years: features of others are left out"
    )


class AskSettings(Model):
    """Settings of the stage `ask`: an API, asked for each tile."""

    source: Overpass = Field(description="its licence is left out")


class FeaturesSettings(Model):
    """Settings of the stage `features`."""

    sources: dict[Name, Name] = Field(
        description="by label set: the name of its normalised source or answer (its file is <name>.parquet)"
    )


class LabelSetSettings(Model):
    """How one label set is rasterised."""

    kind: Literal["pbf", "osm_xml", "overpass", "vector", "raster"] = Field("pbf", description="kind of the source")
    ontology: str | None = Field(
        description="path of the ontology's YAML file; None keeps a raster's numbers as they are"
    )
    resolution_m: LabelResolution = Field(10, description="pixel size of the label arrays in metres; a divisor of 10")
    licence: str = Field(description="licence and credit of the source")
    family: str = Field(description="name of the set in the config: that of all its years")
    year: Year | None = Field(None, description="year that the labels are of")
    unknown: Literal["error", "unlabeled"] = Field("error", description="classes that no rule knows")
    parcels: Parcels | None = Field(None, description="arrays for parcels")
    values: list[str] = Field([], description="numeric fields that parcels burn as they are")
    regions: Regions | None = Field(None, description="masks of small regions")
    raster: RasterFile | None = Field(None, description="the raster that is read directly")


class LabelsSettings(Model):
    """Settings of the stage `labels`."""

    sets: dict[Name, LabelSetSettings] = Field(description="label sets by name", min_length=1)
