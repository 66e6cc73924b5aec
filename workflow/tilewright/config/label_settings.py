"""What the label stages are told: the leaves of the config that the rules `features` and `labels` hand over."""

from pydantic import Field, field_validator

from tilewright.config.model import LabelSource, Model, Name


class FeaturesSettings(Model):
    """Settings of the stage `features`."""

    sources: dict[Name, LabelSource] = Field(description="source of each label set, by the set's name", min_length=1)


class LabelSetSettings(Model):
    """How one label set is rasterised."""

    ontology: str = Field(description="path of the ontology's YAML file")
    resolution_m: int = Field(10, gt=0, le=10, description="pixel size of the label arrays in metres; a divisor of 10")

    @field_validator("resolution_m")
    @classmethod
    def _divides(cls, value: int) -> int:
        if 10 % value:
            raise ValueError(f"{value} does not divide 10: use 10, 5, 2 or 1")
        return value


class LabelsSettings(Model):
    """Settings of the stage `labels`."""

    sets: dict[Name, LabelSetSettings] = Field(description="label sets by name", min_length=1)
