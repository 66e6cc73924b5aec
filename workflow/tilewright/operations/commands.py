"""The subcommands of this room: their arguments, and what they print. What they use is imported when they are called."""

import argparse
import os
from pathlib import Path
from typing import Any

SOUND, FAULTY = 0, 1
"""Exit codes: `FAULTY` where `verify` found something."""


def add_commands(commands: Any) -> None:
    """Add the subcommands to an argparse parser's own."""
    about = "read every file of a dataset and name what is damaged, lost or half-written"
    verify = commands.add_parser("verify", help=about, description=about)
    verify.set_defaults(run=_verify)
    _dataset(verify)
    verify.add_argument(
        "--delete", action="store_true", help="remove what is damaged: the next snakemake run makes it again"
    )
    verify.add_argument("--tile", nargs="+", default=[], help="look at these tiles alone")
    verify.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1), help="files read at a time")
    verify.add_argument(
        "--without-patches", action="store_true", help="patch stores were deleted on purpose: none is missed"
    )
    about = "how far a dataset is, tile by tile, what failed and why; or why a cell or a scene was refused"
    status = commands.add_parser("status", help=about, description=about)
    status.set_defaults(run=_status)
    _dataset(status)
    status.add_argument("name", nargs="?", help="a cell's or a scene's id: what became of it, and why")
    status.add_argument(
        "--refusals", action="store_true", help="also what was refused, by reason: reads the tables of all tiles"
    )
    status.add_argument("--map", type=Path, help="draw the tiles by their state: .png or .html")
    status.add_argument("--json", action="store_true", help="as JSON, all tiles and failures")
    status.add_argument("--all", action="store_true", help="show every tile and failure, however many")


def _dataset(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", type=Path, help="its folder: results/<dataset>")
    command.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        help="as snakemake was given; config/config.yaml where that is its",
    )


def _verify(args: argparse.Namespace) -> int:
    import time

    from tilewright.operations.verify import LEFTOVER, UNKNOWN, verify

    begun = time.monotonic()
    found = verify(args.dataset, args.tile, args.configfile, args.delete, args.threads, args.without_patches)
    for each in found.findings:
        print(f"{each.kind}: {args.dataset / each.path}{f': {each.why}' if each.why else ''}")
    if args.delete:
        reported = {each.path for each in found.findings}
        for path in found.removed:
            print(f"removed: {args.dataset / path}{'' if path in reported else ', for Snakemake to see what is gone'}")
    counts = {kind: sum(each.kind == kind for each in found.findings) for kind in (LEFTOVER, UNKNOWN)}
    seconds = max(time.monotonic() - begun, 1e-3)
    print(
        f"{args.dataset}: {found.files} files, {found.bytes / 1e6:.1f} MB read in {seconds:.1f} s ({found.bytes / seconds / 1e9:.2f} GB/s): "
        f"{len(found.lost)} damaged or missing, {counts[LEFTOVER]} half-written, {counts[UNKNOWN]} not of the workflow"
    )
    if found.cells:
        print(f"{found.cells} cells of the index have their arrays in these stores")
    if found.sound:
        return SOUND
    print(
        "now run snakemake again, as ever: it makes what is gone"
        if args.delete
        else "with --delete they are removed, so that the next run makes them again"
    )
    return FAULTY


def _status(args: argparse.Namespace) -> int:
    import json

    from tilewright.operations import refusals, showing
    from tilewright.operations.status import status_of
    from tilewright.operations.why import why

    if args.name:
        from tilewright.operations.folders import folder_of
        from tilewright.operations.shape import config_of

        config = config_of(folder_of(args.dataset), args.configfile)
        print(why(args.dataset, args.name, config.periods if config else None), end="")
        return SOUND
    board = status_of(args.dataset, args.configfile)
    refused = refusals.refusals(args.dataset, board.expected.tiles, board.expected.periods) if args.refusals else {}
    if args.map:
        from tilewright.operations.tilemap import write_map

        write_map(board, str(args.dataset), args.map)
    if args.json:
        more = {"refusals": refusals.document(refused)} if args.refusals else {}
        print(json.dumps({"dataset": str(args.dataset), **showing.document(board), **more}, ensure_ascii=False))
    else:
        print(showing.text(board, str(args.dataset), args.all), end="")
        if args.refusals:
            print(f"\n{refusals.words(refused)}", end="")
    return SOUND
