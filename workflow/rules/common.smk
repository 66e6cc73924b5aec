# The config, checked once; and what the rules ask of it. Nothing here looks at tiles until a rule that gathers them does.
import gc
import inspect
import shlex
from functools import cache

from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError

from tilewright.config.bands import PRIMARY
from tilewright.config.load import with_last_area
from tilewright.errors import TilewrightError
from tilewright.rules import DatasetConfig

# The graph of jobs lives as long as Snakemake: looking for garbage in it all the time is a seventh of what it costs.
gc.set_threshold(100_000, 20, 20)

# What was merged into the config: nothing where an importing workflow gives it.
GIVEN = [] if IMPORTED else [*map(load_configfile, workflow.overwrite_configfiles), workflow.config_settings.config]

try:
    DATASET = DatasetConfig.load(with_last_area(config, GIVEN), ROOT)
except TilewrightError as error:
    # "from None": the user's mistake needs one message, not our stack
    raise WorkflowError(str(error)) from None

RESULTS = f"results/{DATASET.name}"
TILE = f"{RESULTS}/tiles/{{tile}}"
PERIOD = f"{TILE}/{{period}}"
EXPORT = f"{RESULTS}/exports/{{layout}}"
LOGS = f"logs/{DATASET.name}"
ENVIRONMENT = workflow.source_path("../../envs/environment.yaml")

# With --default-storage-provider the results go to a bucket, and nothing else does: what a user brings and what is of a run
# stays on the disk. Without one everything does, and the flag would only cost.
BUCKET = workflow.storage_settings.default_storage_provider
here = local if BUCKET else (lambda paths: paths)
# What a user brings is where the config says, whatever prefix an importing workflow gives to what is made.
yours = local if BUCKET or IMPORTED else (lambda paths: paths)
# Snakemake cannot update what is in a bucket: it deletes it before the job.
updated = (lambda path: path) if BUCKET else update

# The library runs from here in whatever environment a rule gets, which need only hold its dependencies. In the command,
# since Snakemake takes PYTHONPATH away where it activates a conda environment. There is one prefix for all rules: an
# importing workflow's own, or Snakemake's, goes before.
LIBRARY = shlex.quote(str(ROOT / "workflow"))
PREFIX = f"{shell._get_process_prefix()}export PYTHONPATH={LIBRARY}${{PYTHONPATH:+:$PYTHONPATH}}; "
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))


def filled(**inputs):
    """The inputs that there are: each empty list with a name is half a kilobyte a job, of which a planet has 330,000."""
    return {name: paths for name, paths in inputs.items() if paths}


def catalogs(*collections):
    """The local catalogs that collections are searched in.

    What was found is what is used: a catalog of one's own may grow without any period being searched again, as an API
    does. The simulated one is remade as a whole, and then all of it is.
    """
    found = yours(DATASET.catalogs(collections))
    return found if DATASET.config.simulate else [ancient(path) for path in found]


def known(function):
    """A function for a rule, with its signature beside it: Snakemake asks for that several times a job, which is dear."""
    function.__signature__ = inspect.signature(function)
    return function


@known
def access(wildcards, input):
    """How files of imagery are opened.

    A function of `input`, so that Snakemake does not compare it with the last run's: a mirror that moves, or a bucket's
    region that was wrong, makes no pixel different.
    """
    return DATASET.access


wildcard_constraints:
    tile=r"\d\d[C-X][A-Z]{2}",
    period="|".join(DATASET.periods),
    zone=r"\d\d[NS]",
    layout="|".join(DATASET.layouts) or "none",
    label_set="|".join(DATASET.label_sets) or "none",
    source="|".join(sorted({*DATASET.sources.values(), *DATASET.asked.values()})) or "none",


def settings_of(stage):
    """The params function of a stage: its settings as text, or Snakemake's error for a bad tile."""

    @known
    def settings(wildcards):
        if stage == "cells":
            locations()  # told in its settings: made first, where there are cities
        try:
            return DATASET.shared_settings(stage, **dict(wildcards.items()))
        except TilewrightError as error:
            raise WorkflowError(str(error)) from None

    return settings


def locations(wildcards=None):
    """The file of locations around cities, where the config asks for them: the output of the only checkpoint.

    Until it is made, asking for it makes Snakemake make it first and ask again. It is "ancient" for what is made of it: a
    bigger draw is to run again only those tiles that get other locations, which their settings tell.
    """
    return ancient(checkpoints.locations.get().output[0]) if DATASET.config.aoi.cities else []


@cache
def tiles_by_zone():
    """{zone: its tiles} of the AOI, or of the locations around cities: asked for only by the rules that gather tiles."""
    locations()  # made first, where there are cities
    try:
        return DATASET.tiles_by_zone()
    except TilewrightError as error:
        raise WorkflowError(str(error)) from None


# Label sets that read the same file alike share what it was made into.
SOURCES = [f"{RESULTS}/sources/{name}.parquet" for name in sorted(set(DATASET.sources.values()))]
ASKED = [f"{TILE}/asked/{name}.parquet" for name in sorted(set(DATASET.asked.values()))]
# The one of them that cells must meet, where the config asks for it.
GROUND_TRUTH = [
    f"{RESULTS}/sources/{DATASET.sources[name]}.parquet" for name in [DATASET.config.cells.labelled_by] if name
]


def files_of_source(wildcards):
    """The files that a label source is read from."""
    return yours(DATASET.source_files(wildcards.source))


def ontology_of(wildcards):
    """The ontology of a label set."""
    family = DATASET.family(wildcards.label_set)
    if family not in DATASET.ontologies:
        raise WorkflowError(f"labels.{family}: has no ontology, so there is no legend")
    return yours(DATASET.ontologies[family])


def features_of_legend(wildcards):
    """The features of a label set in all tiles; a raster has none."""
    if DATASET.sets[wildcards.label_set].source.kind == "raster":
        return []
    return [f"{RESULTS}/tiles/{tile}/features.parquet" for tiles in tiles_by_zone().values() for tile in tiles]


def tiles_in(wildcards):
    """Tiles of a zone."""
    if wildcards.zone not in tiles_by_zone():
        raise WorkflowError(f"zone {wildcards.zone} is not in the AOI, which meets {', '.join(tiles_by_zone())}")
    return tiles_by_zone()[wildcards.zone]


def files_of_zone(wildcards):
    """Every file of the zone's tiles that its rows are gathered from."""
    names = ["cells.parquet", "series.zarr.zip"]
    names += ["features.parquet", "labels.zarr.zip"] if DATASET.label_sets else []
    of_period = ["scenes", "selection", *(["companions"] if DATASET.companions else [])]
    names += [f"{period}/{name}.parquet" for period in DATASET.periods for name in of_period]
    return [f"{RESULTS}/tiles/{tile}/{name}" for tile in tiles_in(wildcards) for name in names]


def zone_files(wildcards):
    """The zones of the dataset."""
    return [f"{RESULTS}/zones/{zone}.parquet" for zone in tiles_by_zone()]


def dataset_folder(wildcards, input):
    """The dataset's folder, from where its index is."""
    return Path(input.index).parent


def dataset_place(wildcards, input):
    """The dataset's folder, or its URL: what reads a few cells of many tiles reads them where they are."""
    prefix = workflow.storage_settings.default_storage_prefix
    return f"{prefix.rstrip('/')}/{RESULTS}" if BUCKET else dataset_folder(wildcards, input)


def tiles_folder(wildcards, output):
    """The folder of the tiles, from where the zone's file is."""
    return Path(output[0]).parents[1] / "tiles"


def export_folder(wildcards, output):
    """Where an export is, from where its files or a tile's tables are."""
    folder = Path(output[0]).parent
    return folder.parent.with_suffix("") if folder.parent.suffix == ".tiles" else folder


def tables_of_export(wildcards):
    """What is known of the files of an export, tile by tile."""
    folder = EXPORT.format(layout=wildcards.layout)
    names = ("files", "records")
    tables = [
        f"{folder}.tiles/{tile}/{name}.parquet"
        for tiles in tiles_by_zone().values()
        for tile in tiles
        for name in names
    ]
    return here(tables)
