"""What the label stages are told: the leaves of the config that the rules `features` and `labels` hand over."""

from pydantic import Field

from tilewright.config.model import ODBL, LabelResolution, LabelSource, Model, Name


class FeaturesSettings(Model):
    """Settings of the stage `features`."""

    sources: dict[Name, LabelSource] = Field(description="source of each label set, by the set's name", min_length=1)


class LabelSetSettings(Model):
    """How one label set is rasterised."""

    ontology: str = Field(description="path of the ontology's YAML file")
    licence: str = Field(ODBL, description="licence and credit of the source")
    resolution_m: LabelResolution = Field(10, description="pixel size of the label arrays in metres; a divisor of 10")


class LabelsSettings(Model):
    """Settings of the stage `labels`."""

    sets: dict[Name, LabelSetSettings] = Field(description="label sets by name", min_length=1)
