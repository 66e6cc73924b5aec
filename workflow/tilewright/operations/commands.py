"""The subcommands of this room: their arguments, and what they print. What they use is imported when they are called."""

import argparse
import os
from pathlib import Path
from typing import Any

SOUND, FAULTY = 0, 1
"""Exit codes of `verify`."""


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


def _dataset(command: argparse.ArgumentParser) -> None:
    command.add_argument("dataset", type=Path, help="its folder: results/<dataset>")
    command.add_argument(
        "--configfile", type=Path, help="the config that made it; config/config.yaml where that is its"
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
