"""Tables of benchmarks: aligned plain text for people, JSON with the machine's facts for later."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "tilewright", "numpy", "rasterio", "imagecodecs", "obstore", "tifffile", "zarr", "numcodecs", "xarray", "dask", "stackstac", "odc-stac",
    "shapely", "pyogrio", "osmium", "osmnx", "exactextract", "geopandas",
)  # fmt: skip


def show(title: str, rows: Sequence[dict[str, Any]], note: str = "") -> None:
    """Print rows as an aligned table: numbers to the right, three significant digits, "–" for what is absent."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_text(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    right = [all(_is_number(row.get(name)) for row in rows) for name in columns]

    def line(parts: Sequence[str]) -> str:
        return "  ".join(
            part.rjust(width) if to_right else part.ljust(width)
            for part, width, to_right in zip(parts, widths, right, strict=True)
        ).rstrip()

    print(f"\n{title}", "=" * len(title), line(columns), line(["-" * width for width in widths]), sep="\n")
    for parts in cells:
        print(line(parts))
    if note:
        print(note)
    print(flush=True)


@dataclass(frozen=True)
class Check:
    """A target beside what was found. `limit` is a most or, with `at_least`, a least."""

    target: str
    found: float | None
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where it could not be measured."""
        if self.found is None:
            return None
        return self.found >= self.limit if self.at_least else self.found <= self.limit

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {**asdict(self), "met": self.met}

    def row(self) -> dict[str, Any]:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        sign = "≥" if self.at_least else "≤"
        found = None if self.found is None else f"{_text(self.found)}{self.unit}"
        return {"target": self.target, "limit": f"{sign} {_text(self.limit)}{self.unit}", "found": found, "": verdict}


def verdicts(title: str, checks: Sequence[Check], note: str = "") -> None:
    """Print targets, what was found, and met or MISSED."""
    show(title, [check.row() for check in checks], note)


def keep(name: str, document: dict[str, Any], checks: Sequence[Check] = ()) -> Path:
    """Write benchmarks/results/<name>.json: the document, its checks and the machine's facts (no host name, no path)."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    kept = {**document, "machine": machine()}
    if checks:
        kept["checks"] = [check.document() for check in checks]
    path.write_text(json.dumps(kept, indent=1, default=float) + "\n")
    return path


def machine() -> dict[str, Any]:
    """Cores, memory, load and versions: what figures depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)
