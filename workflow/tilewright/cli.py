"""The command line: one subcommand a stage, as the rules call it and as one debugs it.

Imports are made inside the commands, so that each pays only for what it uses.
"""

import argparse
import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tilewright.errors import TilewrightError
from tilewright.operations.commands import add_commands
from tilewright.progress import SUMMARY, used

Command = Callable[[argparse.Namespace], int | None]
"""Its exit code, where that is not 0."""


def _cells(args: argparse.Namespace) -> None:
    from tilewright.config.cell_settings import CellsSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.cells import make_cells
    from tilewright.store.lean import without_pandas

    without_pandas()
    make_cells(args.tile, parsed(CellsSettings, args.settings), args.output, args.truth, args.locations)


def _locations(args: argparse.Namespace) -> None:
    from tilewright.config.location_settings import LocationsSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.locations import make_locations
    from tilewright.store.lean import without_pandas

    without_pandas()
    make_locations(parsed(LocationsSettings, args.settings), args.output)


def _search(args: argparse.Namespace) -> None:
    from tilewright.config.settings import SearchSettings, parsed, parsed_access
    from tilewright.stages.search import make_search
    from tilewright.store.lean import without_pandas

    without_pandas()
    make_search(parsed(SearchSettings, args.settings, args.tile), args.output, parsed_access(args.access))


def _mask(args: argparse.Namespace) -> None:
    from tilewright.config.settings import MaskSettings, parsed, parsed_access
    from tilewright.imagery import ImageryReader
    from tilewright.stages.mask import make_mask

    settings = parsed(MaskSettings, args.settings, args.tile)
    reader = ImageryReader(args.threads, parsed_access(args.access))
    make_mask(args.cells, args.scenes, settings, args.output, args.traffic, reader)


def _crop(args: argparse.Namespace) -> None:
    from tilewright.config.settings import CropSettings, parsed, parsed_access
    from tilewright.imagery import ImageryReader
    from tilewright.stages.crop import make_crop

    settings = parsed(CropSettings, args.settings, args.tile)
    reader = ImageryReader(args.threads, parsed_access(args.access))
    make_crop(
        args.cells, args.scenes, args.companions, args.masks, settings, args.patches, args.selection, args.traffic, reader
    )  # fmt: skip


def _freeze(args: argparse.Namespace) -> None:
    from tilewright.freeze import make_freeze

    make_freeze(args.dataset, args.output)


def _source(args: argparse.Namespace) -> None:
    from tilewright.config.label_settings import SourceSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.source import make_source

    make_source(parsed(SourceSettings, args.settings), args.output)


def _ask(args: argparse.Namespace) -> None:
    from tilewright.config.label_settings import AskSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.ask import make_asked

    make_asked(args.cells, parsed(AskSettings, args.settings), args.output)


def _features(args: argparse.Namespace) -> None:
    from tilewright.config.label_settings import FeaturesSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.features import make_features
    from tilewright.store.lean import without_pandas

    without_pandas()
    sources = {path.stem: path for path in args.sources}
    make_features(args.cells, sources, parsed(FeaturesSettings, args.settings), args.output)


def _labels(args: argparse.Namespace) -> None:
    from tilewright.config.label_settings import LabelsSettings
    from tilewright.config.settings import parsed
    from tilewright.stages.labels import make_labels

    make_labels(args.cells, args.features, parsed(LabelsSettings, args.settings), args.output)


def _legend(args: argparse.Namespace) -> None:
    from tilewright.vector.legend import write_legend

    write_legend(args.ontology, args.features, args.label_set, args.output)


def _group(args: argparse.Namespace) -> None:
    from tilewright.config.settings import GroupSettings, parsed
    from tilewright.stages.group import make_group

    make_group(args.cells, args.patches, parsed(GroupSettings, args.settings, args.tile), args.output, args.threads)


def _zone(args: argparse.Namespace) -> None:
    from tilewright.stages.zone import TileFiles, make_zone

    tiles = [TileFiles(args.tiles_folder / tile, args.periods, args.labels, args.companions) for tile in args.tiles]
    make_zone(tiles, args.output)


def _index(args: argparse.Namespace) -> None:
    from tilewright.config.settings import IndexSettings, parsed
    from tilewright.stages.index import make_index

    make_index(args.zones, parsed(IndexSettings, args.settings), args.output, args.statistics, args.collection)


def _report(args: argparse.Namespace) -> None:
    from tilewright.report import make_report

    make_report(args.dataset, args.config_text, args.output, args.runs)


def _export_tile(args: argparse.Namespace) -> None:
    from tilewright.config.settings import ExportSettings, parsed
    from tilewright.exports import make_export_tile

    settings = parsed(ExportSettings, args.settings)
    make_export_tile(args.dataset, args.tile, settings, args.root, args.files, args.records)


def _export(args: argparse.Namespace) -> None:
    from tilewright.config.settings import ExportSettings, parsed
    from tilewright.exports import make_export

    settings = parsed(ExportSettings, args.settings)
    make_export(args.dataset, settings, args.tables, args.root, args.config_text, args.locations)


def _simulate(args: argparse.Namespace) -> None:
    from tilewright.config.settings import parsed
    from tilewright.config.simulated import Simulate
    from tilewright.simulate import make_world

    make_world(parsed(Simulate, args.settings), args.directory)


def _plan(args: argparse.Namespace) -> None:
    from tilewright.plan.command import run

    print(run(args.configfile, args.cores, args.search, args.sample, args.mbit, args.output), end="")


def _reference(args: argparse.Namespace) -> None:
    from tilewright.config.reference import provider_schema, reference
    from tilewright.store import replacing
    from tilewright.vector.ontology import Ontology
    from tilewright.vector.ontology_file import ontology_schema

    with replacing(args.folder / "README.md") as part:
        part.write_text(reference(Ontology))
    for name, schema in (("ontologies", ontology_schema()), ("providers", provider_schema())):
        with replacing(args.folder / name / "schema.json") as part:
            part.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tilewright", description="The stages of tilewright, one at a time.")
    parser.add_argument("--log", type=Path, help="file for the progress messages; warnings also go to stderr")
    commands = parser.add_subparsers(title="stages", required=True, metavar="STAGE")

    def command(
        name: str, run: Command, about: str, paths: Sequence[str] = (), settings: bool = True
    ) -> argparse.ArgumentParser:
        """Add a stage whose arguments are paths and, as a rule, settings (JSON, as the rule's params show)."""
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        for path in paths:
            added.add_argument(f"--{path}", type=Path, required=True)
        if settings:
            added.add_argument("--settings", required=True, help="JSON text: the stage's settings")
        return added

    command("simulate", _simulate, "make the simulated world", ["directory"])
    command("locations", _locations, "sample places around cities, for all tiles: locations.parquet", ["output"])
    cells = command("cells", _cells, "sample a tile: cells.parquet", ["output"])
    cells.add_argument("--tile", required=True)
    cells.add_argument("--truth", type=Path, help="normalised label source whose features cells must meet")
    cells.add_argument("--locations", type=Path, help="locations around cities, of aoi.cities")
    search = command("search", _search, "find a tile's scenes in a period: scenes.parquet", ["output"])
    mask = command(
        "mask", _mask, "count SCL classes by cell and scene: masks.parquet", ["cells", "scenes", "output", "traffic"]
    )
    crop_paths = ["cells", "scenes", "masks", "patches", "selection", "traffic"]
    crop = command("crop", _crop, "choose scenes and read patches: patches.zarr.zip, selection.parquet", crop_paths)
    crop.add_argument("--companions", type=Path, help="scenes of the collections that are paired: companions.parquet")
    for reading in (mask, crop):
        reading.add_argument("--threads", type=int, default=2, help="blocks decoded at a time")
    for opening in (search, mask, crop):
        opening.add_argument("--access", required=True, help="JSON text: how each collection's files are opened")
    command("source", _source, "read a label source, once for all tiles: sources/<label set>.parquet", ["output"])
    command("ask", _ask, "ask an Overpass API for a tile's features: asked/<source>.parquet", ["cells", "output"])
    features = command("features", _features, "cut the label sources to a tile: features.parquet", ["cells", "output"])
    features.add_argument("--sources", type=Path, nargs="*", default=[], help="normalised sources, <label set>.parquet")
    command("labels", _labels, "rasterise a tile's features: labels.zarr.zip", ["cells", "features", "output"])
    legend = command(
        "legend",
        _legend,
        "an ontology's legend, and which tags fell through its rules",
        ["ontology", "output"],
        settings=False,
    )
    legend.add_argument(
        "--features", type=Path, nargs="*", default=[], help="features.parquet of tiles; none: the legend alone"
    )
    legend.add_argument("--label-set", help="the set whose features to look at; needed where a file has several")
    group = command("group", _group, "patches of all periods as series: series.zarr.zip", ["cells", "output"])
    group.add_argument("--threads", type=int, default=2, help="cells in work at a time")
    group.add_argument("--patches", type=Path, nargs="+", required=True, help="a store for each period, in order")
    for own in (search, mask, crop, group):
        own.add_argument("--tile", default="", help="its name, which is left open in settings that all tiles share")
    zone = command("zone", _zone, "gather the cells of a UTM zone", ["tiles-folder", "output"], settings=False)
    zone.add_argument("--tiles", nargs="+", required=True)
    zone.add_argument("--periods", nargs="+", required=True)
    zone.add_argument("--labels", action="store_true", help="the tiles have labels")
    zone.add_argument(
        "--companions", action="store_true", help="the tiles have scenes of more collections than the primary"
    )
    index = command(
        "index", _index, "merge the zones: index.parquet, splits, statistics", ["output", "statistics", "collection"]
    )
    index.add_argument("--zones", type=Path, nargs="+", required=True)
    report = command("report", _report, "one page about a dataset: report.html", ["output"], settings=False)
    report.add_argument("--dataset", required=True, help="its folder, or its URL")
    report.add_argument("--runs", type=Path, help="the folder of *.traffic.json, where that is not the dataset's")
    report.add_argument("--config-text", required=True, help="the config, as the page shows it")
    about = "a tile's accepted cells in another dataset's layout"
    tile = command("export_tile", _export_tile, about, ["dataset", "root", "files", "records"])
    tile.add_argument("--tile", required=True)
    export = command("export", _export, "the files of a whole export, after all its tiles", ["dataset", "root"])
    export.add_argument("--tables", type=Path, nargs="+", required=True, help="the folders of the tiles' tables")
    export.add_argument("--config-text", required=True, help="the config, as the data card shows it")
    export.add_argument(
        "--locations", type=Path, help="locations around cities, where they are not in the dataset's folder"
    )
    about = "every scene that a dataset found, as one stac-geoparquet that can be its provider elsewhere"
    command("freeze", _freeze, about, ["dataset", "output"], settings=False)
    about = "what a run of a config will cost, before any pixel is read: scenes, bytes, disk, CPU hours, jobs, time"
    plan = command("plan", _plan, about, settings=False)
    plan.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="as snakemake's; default: config/config.yaml"
    )
    plan.add_argument("--cores", type=int, help="cores of the run; default: those of this machine")
    plan.add_argument("--mbit", type=float, help="Mbit/s of the connection; default: no limit")
    plan.add_argument("--search", action="store_true", help="ask the STAC APIs for the sampled tiles' scenes")
    plan.add_argument(
        "--sample", type=int, default=12, metavar="N", help="tiles at most that are looked at; default: 12"
    )
    plan.add_argument("--output", type=Path, help="JSON file; default: plans/<dataset>.json")
    about = "write the config reference and the JSON schemas of ontologies and providers into the folder config"
    command("reference", _reference, about, ["folder"], settings=False)
    add_commands(commands)
    return parser


def _set_up_log(path: Path | None) -> None:
    """Everything into the log file where there is one; to stderr what a user should see (without a file: everything)."""
    console = logging.StreamHandler()
    console.setLevel(SUMMARY if path else logging.INFO)
    console.setFormatter(logging.Formatter("tilewright: %(message)s"))
    # each retry of a request is for the log; the user is told once, when retrying has not helped
    console.addFilter(lambda record: not record.name.startswith("urllib3"))
    handlers: list[logging.Handler] = [console]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, mode="w"))
        handlers[1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for noisy in ("rasterio", "pyogrio", "fiona", "matplotlib", "fontTools", "stac_geoparquet"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _unexpected(error: Exception) -> int:
    """Tell of what should not have happened, in the log as well: there `tilewright status` and the end of a run find it."""
    words = f"{type(error).__name__}: {' '.join(str(error).split())}"
    logging.error("error: unexpected %s; this is a fault of tilewright: report it with the log", words, exc_info=True)
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; 0 when it ended well, 1 with one message on stderr when not."""
    begun = time.monotonic()
    args = _parser().parse_args(arguments)
    _set_up_log(args.log)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except TilewrightError as error:
        # one line, whatever a library's message within it holds
        logging.error("error: %s", " ".join(str(error).split()))
        return 1
    except BrokenPipeError:
        # what reads our output wants no more of it, as `head` does; what is still to be flushed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            return _unexpected(error)
        place = error.filename or getattr(args, "output", None) or getattr(args, "patches", None)
        mend = "mend the permissions" if error.errno in (errno.EACCES, errno.EPERM) else "free or mend the disk"
        logging.error("error: %s: %s; nothing half-written was left: %s, then run again", place, error.strerror, mend)
        return 1
    except Exception as error:
        return _unexpected(error)
    if args.log:
        # by this line a log of a job that was killed is told from others
        logging.info("done: %.1f s, %s", time.monotonic() - begun, used())
    return int(code or 0)
