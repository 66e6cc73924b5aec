"""The peers' own environments: made once from the pinned lists in benchmarks/peers, so that none disturbs another or ours."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from world import DATA

PEERS = Path(__file__).parent / "peers"


class NoPeerError(Exception):
    """A peer's environment could not be made; why."""


def python_of(name: str, data: Path = DATA) -> Path:
    """The interpreter of the environment that peers/requirements-<name>.txt describes, made where it is not there.

    Raises NoPeerError where it cannot be installed, as without a package index.
    """
    listed = PEERS / f"requirements-{name}.txt"
    digest = hashlib.blake2b(listed.read_bytes(), digest_size=4).hexdigest()
    folder = (data / "venvs" / f"{name}-{digest}").resolve()
    python = folder / "bin" / "python"
    if (folder / "whole").is_file():
        return python
    print(f"making the environment of {name} …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    # Where a CPU build of torch is at hand, this takes it; among the others' needs pip might take one with CUDA's libraries.
    if torch := re.search(r"^torch==\S+", listed.read_text(), re.MULTILINE):
        commands.append([*pip, torch[0]])
    commands.append([*pip, "--requirement", str(listed)])
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise NoPeerError(
                f"{name}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else 'no message'}"
            )
    (folder / "whole").touch()
    return python
