"""Independent readers of exports, which run in a venv of their own (`make readers`): what each of them saw."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import ROOT

SCRIPTS = ROOT / "tests" / "readers"
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
_SECONDS = 600

needs_readers = pytest.mark.skipif(
    not (ROOT / ".venv-readers" / "installed").is_file(),
    reason="the independent readers are not installed: make readers",
)


@dataclass(frozen=True)
class Seen:
    """What a reader saw: arrays by name, and everything else that it said."""

    said: dict[str, Any]
    arrays: dict[str, np.ndarray]


def read(layout: str, root: Path, **options: Any) -> Seen:
    """Run `readers/read_<layout>.py` on the export in `root`; `options` are those of the script's own `read`.

    Raises:
        AssertionError: with what the reader said, where it fails.
    """
    script = SCRIPTS / f"read_{layout.replace('-', '_')}.py"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "seen.npz"
        # its own packages only; bytecode is kept, since importing torchgeo takes a minute without
        unwanted = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
        environment = {key: value for key, value in os.environ.items() if key not in unwanted}
        environment |= {
            "HF_HUB_OFFLINE": "1",
            "NO_ALBUMENTATIONS_UPDATE": "1",
            "MPLBACKEND": "agg",
            "CROISSANT_CACHE": folder,
        }
        ran = subprocess.run(
            [PYTHON, script, root.resolve(), output, "--options", json.dumps(options)],
            capture_output=True, text=True, timeout=_SECONDS, env=environment, cwd=folder,
        )  # fmt: skip
        assert ran.returncode == 0, f"{script.name} failed:\n{ran.stdout[-2000:]}\n{ran.stderr[-6000:]}"
        with np.load(output) as saved:
            return Seen(json.loads(str(saved["said"])), {name: saved[name] for name in saved.files if name != "said"})
