"""What a user says of exports: layouts of other datasets, written beside the stores."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from tilewright.config.base import Model

LayoutName = Literal["ssl4eo-s12", "seasonet", "opensentinelmap", "deepsatdata", "geotiff", "webdataset"]
LAYOUTS = get_args(LayoutName)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Ssl4eoOptions(Model):
    """How the layout ssl4eo-s12 is written."""

    values: Literal["raw", "uint8", "uint8_stretched", "jpeg"] = Field(
        "raw", description="raw: uint16 DN and float32 dB, as published. uint8: DN / 10000 × 255, as the authors train with. uint8_stretched: mean ± 2 standard "
        "deviations of the band to 0 … 255, as their compressed release. jpeg: the stretched bytes, with loss"
    )  # fmt: skip


class WebdatasetOptions(Model):
    """How the layout webdataset is written."""

    shard_mb: int = Field(512, ge=1, description="a tile's samples go to shards of about this size at most")


class Export(Model):
    """Exports of the dataset: each in `exports/<layout>/`, tile by tile."""

    layout: Annotated[list[LayoutName], BeforeValidator(_as_list)] = Field(
        description="one layout, or a list of them", min_length=1
    )
    labels: str | None = Field(
        None, description="label set that layouts with one set of labels take; needed where the dataset has several"
    )
    ssl4eo: Ssl4eoOptions = Field(Ssl4eoOptions(), description="options of the layout ssl4eo-s12")
    webdataset: WebdatasetOptions = Field(WebdatasetOptions(), description="options of the layout webdataset")

    @model_validator(mode="after")
    def _once(self) -> Self:
        if doubled := sorted({name for name in self.layout if self.layout.count(name) > 1}):
            raise ValueError(f"layout: {', '.join(doubled)} named twice")
        return self
