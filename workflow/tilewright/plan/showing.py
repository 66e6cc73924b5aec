"""The plan as people read it, and as programs do."""

from collections.abc import Sequence
from typing import Any, Final

from tilewright.costs.sources import UNSIZED_FEATURES
from tilewright.plan.making import Plan

FORMAT: Final = "tilewright-plan-1"
_WHAT: Final = {
    "s2_l2a": "crop: Level-2A",
    "s2_l1c": "crop: Level-1C",
    "s1_grd": "crop: Sentinel-1 GRD",
    "s1_rtc": "crop: Sentinel-1 RTC",
    "mask": "mask: SCL",
}


def document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON has it: figures rounded, the same for the same config, catalog and files."""
    ground, wall = plan.ground, plan.wall
    return {
        "format": FORMAT,
        "dataset": plan.dataset,
        "tiles": len(ground.cells),
        "tiles_looked_at": plan.looked_at,
        "zones": {zone: len(tiles) for zone, tiles in ground.zones.items()},
        "periods": plan.periods,
        "cells": round(ground.total),
        "scenes": {key: round(count) for key, count in plan.scenes.items()},
        "scenes_serving": round(plan.serving, 1),
        "patches": {key: round(count) for key, count in plan.patches.items()},
        "read_mb": {
            key: {"unpacked": round(mb, 1), "fetched": round(wire, 1)} for key, (mb, wire) in plan.read.items()
        },
        "wire_mb": round(plan.total("wire_mb"), 1),
        "disk_mb": round(plan.total("output_mb"), 1),
        "cpu_hours": round(plan.cpu_s / 3600, 4),
        "snakemake_cpu_s": round(plan.wall.own_s, 1),
        "jobs": sum(plan.jobs.values()),
        "wall": {
            "cores": wall.cores, "mbit": wall.mbit, "hours": round(wall.total_s / 3600, 4),
            "hours_at_least": round(wall.chain_s / 3600, 4), "hours_of_transfer": round(wall.wire_s / 3600, 4),
        },
        "rules": {
            rule: {
                "jobs": bill.jobs, "cpu_s": round(bill.cpu_s, 1), "longest_cpu_s": round(bill.longest_s, 1),
                "mem_mb": round(bill.mem_mb), "scratch_mb": round(bill.scratch_mb, 1),
                "output_mb": round(bill.output_mb, 1), "wire_mb": round(bill.wire_mb, 1),
            }
            for rule, bill in plan.bills.items()
        },
        "basis": plan.basis,
    }  # fmt: skip


def text(plan: Plan) -> str:
    """The plan as a table of what it costs and what each figure rests on, then one of the rules."""
    ground, wall, basis = plan.ground, plan.wall, plan.basis
    about = "" if ground.exact else "about "
    sampled = "" if plan.looked_at == len(ground.cells) else f"; {_many(plan.looked_at, 'tile')} looked at"
    rows = [
        ("tiles", f"{len(ground.cells):,}", f"in {_many(len(ground.zones), 'UTM zone')}"),
        ("periods", f"{len(plan.periods):,}", _listed(plan.periods)),
        ("cells", f"{about}{ground.total:,.0f}", basis["cells"]),
    ]
    for key, count in plan.scenes.items():
        rows.append((f"scenes of {key}", f"{count:,.0f}", basis[f"scenes {key}"] + sampled))
    rows.append(("serving", f"{plan.serving:,.0f}", "of these, by " + basis["imagery"]))
    for key, count in plan.patches.items():
        rows.append((f"patches of {key}", f"{count:,.0f}", "dates of cells, likewise"))
    for key, words in basis.items():
        if key.startswith("features "):
            rows.append((f"features of {key.removeprefix('features ')}", f"{UNSIZED_FEATURES:,}", words))
    for key, (_, wire_mb) in plan.read.items():
        rows.append((f"read by {_WHAT[key]}", _size(wire_mb), basis["files"]))
    total = plan.total
    rows += [
        ("over the wire", _size(total("wire_mb")), "with answers of APIs; of local files, what is read of them"),
        ("on disk", _size(total("output_mb")), f"when all is done, by {basis['costs']}"),
        ("CPU", _hours(plan.cpu_s), "likewise; Snakemake itself with it"),
        ("largest job", _size(max(bill.mem_mb for bill in plan.bills.values())), "memory, likewise"),
        ("jobs", f"{sum(plan.jobs.values()):,}", "counted as Snakemake counts them, from nothing"),
        (
            "wall time",
            _hours(wall.total_s),
            f"on {_many(wall.cores, 'core')}, "
            + (f"{wall.mbit:g} Mbit/s" if wall.mbit else "if the connection is no limit (--mbit)")
            + f"; never below {_hours(wall.chain_s)}",
        ),
    ]
    head = ("rule", "jobs", "CPU", "longest", "memory", "on disk", "over the wire")
    rules = [
        (rule, f"{bill.jobs:,}", _hours(bill.cpu_s), _hours(bill.longest_s), _size(bill.mem_mb), _size(bill.output_mb), _size(bill.wire_mb))
        for rule, bill in plan.bills.items()
    ]  # fmt: skip
    return f"{plan.dataset}: what a run from nothing costs\n\n{_table(rows)}\n\n{_table([head, *rules])}\n"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they must be: the first and, of a table of three, the last to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    last = len(widths) - 1 if len(widths) == 3 else -1
    lines = [
        "  ".join(cell.ljust(width) if at in (0, last) else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} … {names[-1]}"


def _size(mb: float) -> str:
    for unit, of in (("TB", 1e6), ("GB", 1e3), ("MB", 1.0)):
        if mb >= of:
            return f"{mb / of:,.3g} {unit}" if mb < 1e3 * of else f"{mb / of:,.0f} {unit}"
    return f"{1000 * mb:,.0f} kB" if mb >= 0.001 else "0"


def _hours(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return (
        f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:,.3g} h"
        if seconds < 3.6e6
        else f"{seconds / 3600:,.0f} h"
    )
