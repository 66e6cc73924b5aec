"""What a label set's source is called and told, and which files it is made of."""

import re
from pathlib import Path
from typing import Final

from tilewright.config.label_sets import LabelSet, OsmFile, Overpass, RasterFile, VectorFile, is_postgis
from tilewright.config.label_settings import AskSettings, SourceSettings
from tilewright.config.settings import settings_digest

# Paths that GDAL finds its own way to, and Snakemake cannot look after.
_ELSEWHERE: Final = re.compile(r"/vsi|[A-Za-z0-9+]+://")
_SHAPEFILE: Final = (".cpg", ".dbf", ".prj", ".shx")


def source_settings(labels: LabelSet) -> SourceSettings | AskSettings:
    """What the stages `source` and `ask` are told: no licence, and the year only where it chooses features."""
    source = labels.source
    if isinstance(source, RasterFile):
        raise ValueError("a raster is not normalised")
    plain = source.model_copy(update={"licence": ""})
    if isinstance(plain, Overpass):
        return AskSettings(source=plain)
    dated = isinstance(source, VectorFile) and source.year_field is not None
    return SourceSettings(source=plain, year=labels.year if dated else None)


def source_name(labels: LabelSet) -> str:
    """The name of a set's normalised source, or of an API's answer: of what is read and how, by a digest."""
    if isinstance(labels.source, Overpass):
        # of what is asked, not of how long one waits for the answer
        asked = labels.source.model_copy(update={"licence": "", "timeout_s": 0})
        return f"overpass-{settings_digest(asked)}"
    path = labels.source.path if isinstance(labels.source, OsmFile | VectorFile) else ""
    # a database's address may hold more than its name
    stem = "postgis" if is_postgis(path) else re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).name.split(".")[0]).strip("-_")
    return f"{stem or 'source'}-{settings_digest(source_settings(labels))}"


def files_of_years(labels: LabelSet) -> list[tuple[str, Path]]:
    """As `files`, for a set of several years."""
    named = {
        f"years.{each.year}" if key == "source.path" else key: path
        for each in labels.by_year("").values()
        for key, path in files(each)
    }
    return list(named.items())


def parts(path: Path) -> list[Path]:
    """A file, and those that belong to it: an edited attribute of a shapefile changes its .dbf alone."""
    if path.suffix.lower() != ".shp":
        return [path]
    return [path, *(part for part in map(path.with_suffix, _SHAPEFILE) if part.is_file())]


def files(labels: LabelSet) -> list[tuple[str, Path]]:
    """(key, path) of the files that a label set names."""
    source = labels.source
    named: list[tuple[str, str | None]] = []
    if not isinstance(source, Overpass) and not is_postgis(source.path) and not _ELSEWHERE.match(source.path):
        named.append(("source.path", source.path))
    if isinstance(source, OsmFile | VectorFile) and isinstance(source.extent, str):
        named.append(("source.extent", source.extent))
    if isinstance(source, OsmFile | Overpass):
        named.append(("source.sea", source.sea))
    return [(key, Path(path)) for key, path in named if path is not None]
