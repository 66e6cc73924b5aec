"""Labels as a user writes them: where they come from and how they are rasterised."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from tilewright.config.base import Box, Model, Name

ODBL: Final = "© OpenStreetMap contributors, ODbL 1.0"


# Divisors of 10 m that binary numbers hold exactly, so that pixel numbers are exact too (10/3 m is none).
_RESOLUTIONS: Final = (10.0, 5.0, 2.5, 2.0, 1.25, 1.0, 0.625, 0.5)


def _divides_ten(value: float) -> float:
    if value not in _RESOLUTIONS:
        raise ValueError(f"{value:g} does not divide 10: use {', '.join(f'{each:g}' for each in _RESOLUTIONS)}")
    return value


LabelResolution = Annotated[float, AfterValidator(_divides_ten)]
# Of a feature's geometry.
Kind = Literal["area", "line", "point"]
Year = Annotated[int, Field(ge=1900, le=2100)]

Extent = Annotated[
    Annotated[Box, Tag("box")] | Annotated[str, Tag("file")],
    Discriminator(lambda value: "file" if isinstance(value, str) else "box"),
]

_EXTENT: Final = (
    "ground that the source covers: west, south, east, north in degrees, or a file with a polygon (.poly, or anything that "
    "GDAL reads). Ground outside is not covered rather than unlabeled"
)


def has_password(path: str) -> bool:
    """Whether a connection text (PG:…, postgresql://…) holds a password."""
    return re.search(r"password\s*=|://[^/@\s]*:[^/\s]*@", path, re.IGNORECASE) is not None


def is_postgis(path: str) -> bool:
    """Whether a path is the connection text of a database."""
    return re.match(r"pg:|postgres(ql)?://", path, re.IGNORECASE) is not None


def _time(value: Any) -> Any:
    """A time as text; YAML reads one that is not in quotes as a time of its own."""
    text = value.isoformat() if isinstance(value, date) else value  # a datetime is a date, too
    if isinstance(text, str):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time; write it as 2019-07-01T00:00:00Z") from None
    return text


class OsmFile(Model):
    """An OpenStreetMap extract: read once for all tiles."""

    kind: Literal["pbf", "osm_xml"] = Field(description="pbf: an extract (.osm.pbf); osm_xml: a small .osm file")
    path: str = Field(description="the file")
    licence: str = Field(ODBL, description="licence and credit, as shown in stores and the report")
    extent: Extent | None = Field(None, description=f"{_EXTENT}; default: the box in the file's header")
    sea: str | None = Field(
        None, description="a file of water polygons (such as water-polygons-split), read as natural=water, water=sea: "
        "OpenStreetMap has coastlines only",
    )  # fmt: skip


class Overpass(Model):
    """An Overpass API, asked for each tile through osmnx: for areas of a few tiles."""

    kind: Literal["overpass"]
    url: str = Field("https://overpass-api.de/api", description="address of the API, without /interpreter")
    date: Annotated[str, BeforeValidator(_time)] | None = Field(
        None, description="ask for the map as it was then: ISO 8601, such as 2019-07-01T00:00:00Z"
    )
    timeout_s: int = Field(180, ge=1, le=3600, description="seconds that the server may take for one query")
    licence: str = Field(ODBL, description="licence and credit, as shown in stores and the report")
    sea: str | None = Field(None, description="a file of water polygons, as for pbf")


class VectorFile(Model):
    """Polygons of any vector source: CORINE, LBM-DE, agricultural parcels. Read once for all tiles."""

    kind: Literal["vector"]
    path: str = Field(
        description="GeoPackage, shapefile, GeoParquet, FlatGeobuf, … or, for PostGIS, 'PG:host=… dbname=…' (without the "
        "password, which GDAL takes from PGPASSWORD or ~/.pgpass)"
    )
    layer: str | None = Field(
        None,
        description="layer, needed where the file has several; a geometry column of GeoParquet; schema.table of PostGIS",
    )
    attributes: list[str] = Field(description="fields that the ontology's rules look at", min_length=1)
    values: list[str] = Field([], description="numeric fields to burn as they are: regression targets (parcels)")
    id: str | None = Field(
        None, description="field with whole numbers that name each feature (`fid` of a GeoPackage, too); default: 1, 2, … in the "
        "file's order",
    )  # fmt: skip
    year_field: str | None = Field(
        None, description="field with the year that a feature is of; others than `year` are left out"
    )
    crs: int | None = Field(None, description="EPSG code, for sources that name no CRS")
    extent: Extent | None = Field(None, description=f"{_EXTENT}; default: unknown")
    licence: str = Field(description="licence and credit, as shown in stores and the report")

    @field_validator("path")
    @classmethod
    def no_password(cls, path: str) -> str:
        """The path, which the report will show."""
        if has_password(path):
            raise ValueError("holds a password: leave it out, and give it in PGPASSWORD or ~/.pgpass")
        return path


class RasterFile(Model):
    """A raster: land cover with classes, or a static layer such as elevation. Read for each tile."""

    kind: Literal["raster"]
    path: str = Field(description="a GeoTIFF or whatever GDAL reads, in any CRS")
    band: int = Field(1, ge=1, description="number of the band")
    resampling: Literal["nearest", "majority", "bilinear", "cubic", "average", "min", "max"] = Field(
        "nearest", description="onto the cells' pixels; with an ontology nearest or majority"
    )
    nodata: float | None = Field(None, description="value that means no data; default: as the file says")
    licence: str = Field(description="licence and credit, as shown in stores and the report")


LabelSource = Annotated[OsmFile | Overpass | VectorFile | RasterFile, Discriminator("kind")]
SOURCE_KINDS: Final = ("pbf", "osm_xml", "overpass", "vector", "raster")


class Parcels(Model):
    """Arrays for agricultural parcels, as DeepSatData (section 4.1), beside the class of the parcel that covers most of a pixel."""

    instance: bool = Field(True, description="id of that parcel (uint32, 0: none)")
    coverage: bool = Field(True, description="share of the pixel that it covers (float32)")
    distance: bool = Field(True, description="metres from the pixel's centre to its nearest edge (float32)")
    claims: bool = Field(
        True, description="pixels that two or more parcels claim: 1 partly, 2 wholly; of different classes (`claims`) and of "
        "the same class (`claims_same`) apart",
    )  # fmt: skip


class Regions(Model):
    """Masks of connected regions that are too small to count, as SeasoNet's easy, medium and hard."""

    ignore_below: dict[Name, Annotated[int, Field(ge=0)]] = Field(
        {"easy": 300, "medium": 100, "hard": 0},
        description="level → pixels: regions with fewer are ignored",
        min_length=1,
    )
    connectivity: Literal[4, 8] = Field(4, description="neighbours of a pixel: 4, or 8 with the corners")


class LabelSet(Model):
    """One labelling of every cell."""

    source: LabelSource = Field(description="where the labels come from")
    ontology: str | None = Field(
        None, description="a file's path, or the name of one in config/ontologies; only a raster can do without: its numbers "
        "are then kept as they are, a static layer",
    )  # fmt: skip
    resolution_m: LabelResolution = Field(10, description="pixel size of the label arrays in metres; a divisor of 10")
    year: Year | None = Field(None, description="year that the labels are of")
    years: dict[Year, str] | None = Field(
        None, description="year → path, in place of `year` and `source.path`: a label set <name>-<year> each; readers can join "
        "each date with the set of its year",
    )  # fmt: skip
    unknown: Literal["error", "unlabeled"] = Field(
        "error", description="of a vector or raster source: classes that no rule of the ontology knows. OpenStreetMap's other tags "
        "are unlabeled always",
    )  # fmt: skip
    parcels: Parcels | None = Field(
        None, description="instance ids, coverage, distances and claims; for `vector` sources"
    )
    regions: Regions | None = Field(None, description="masks of small regions")

    @model_validator(mode="before")
    @classmethod
    def _path_of_years(cls, value: Any) -> Any:
        # `years` gives the paths, so that the source need not
        if isinstance(value, dict) and isinstance(years := value.get("years"), dict) and years:
            source = value.get("source")
            if isinstance(source, dict) and "path" in source:
                raise ValueError("years: have the paths: remove source.path")
            if isinstance(source, dict) and source.get("kind") != "overpass":
                return {**value, "source": {**source, "path": str(next(iter(years.values())))}}
        return value

    @field_validator("years")
    @classmethod
    def _some(cls, years: dict[int, str] | None) -> dict[int, str] | None:
        if years is not None and not years:
            raise ValueError("is empty; give year: path, or leave it out")
        for path in (years or {}).values():
            VectorFile.no_password(path)
        return years

    @model_validator(mode="after")
    def _whole(self) -> Self:
        kind = self.source.kind
        if self.ontology is None and kind != "raster":
            raise ValueError("ontology: is missing; name one of config/ontologies or a file")
        if isinstance(self.source, RasterFile):
            if self.ontology is not None and self.source.resampling not in ("nearest", "majority"):
                raise ValueError(
                    f"source.resampling: {self.source.resampling} would mix classes: use nearest or majority"
                )
            if self.ontology is None and self.regions is not None:
                raise ValueError("regions: need classes: name an ontology")
        if self.parcels is not None and kind != "vector":
            raise ValueError(f"parcels: need a source of kind vector, not {kind}")
        if isinstance(self.source, VectorFile):
            if self.source.values and self.parcels is None:
                raise ValueError("source.values: are burned with parcels: add `parcels: {}`")
            if self.source.year_field and self.year is None and self.years is None:
                raise ValueError("source.year_field: says of which year a feature is: name the wanted `year`")
        if self.years is not None and (kind == "overpass" or self.year is not None):
            raise ValueError("years: give either year or years" if self.year else "years: need a source with a path")
        return self

    def by_year(self, name: str) -> dict[str, "LabelSet"]:
        """The set, or one for each of `years`, by name."""
        if self.years is None:
            return {name: self}
        return {
            f"{name}-{year}": self.model_copy(
                update={"year": year, "years": None, "source": self.source.model_copy(update={"path": path})}
            )
            for year, path in sorted(self.years.items())
        }
