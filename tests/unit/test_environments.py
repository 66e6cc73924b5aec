"""The environments in envs/ are of one lock: conda's, Docker's, Apptainer's."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml


def locked(root: Path) -> dict[str, str]:
    """Versions in the lock for Python 3.11, by name."""
    found = {}
    for line in (root / "envs/requirements.lock").read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")) and "python_full_version >= '3.12'" not in line:
            name, version = line.split(" ")[0].split("==")
            found[name] = version
    return found


def test_the_conda_environment_agrees_with_the_lock(root: Path):
    conda = {"dask-core": "dask", "pyosmium": "osmium", "matplotlib-base": "matplotlib"}
    packages = yaml.safe_load((root / "envs/environment.yaml").read_text())["dependencies"]
    drivers = [each for each in packages if each.startswith("libgdal-")]  # GDAL's, in wheels a part of rasterio
    pinned = dict(each.split("=") for each in packages if not each.startswith("python=") and each not in drivers)
    lock = locked(root)
    assert {conda.get(name, name): version for name, version in pinned.items()} == {
        name: lock[name] for name in (conda.get(each, each) for each in pinned)
    }
    wanted = {
        each.split(">")[0].split("=")[0]
        for each in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    assert wanted - {"snakemake"} == {conda.get(name, name) for name in pinned}


FILES = ["requirements.lock", "environment.yaml", "Dockerfile", "tilewright.def"]


@pytest.mark.parametrize("file", FILES)
def test_no_download_address_is_recorded(root: Path, file: str):
    assert "://" not in (root / "envs" / file).read_text()


def dockerfile(root: Path) -> list[tuple[str, str]]:
    """Instructions and their arguments."""
    lines = re.sub(r"\\\n\s*", "", (root / "envs/Dockerfile").read_text()).splitlines()
    pairs = [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]
    return [(word, rest) for word, rest in pairs]


def definition(root: Path) -> dict[str, list[str]]:
    """Sections of the Apptainer definition and their lines; the header's under ""."""
    sections: dict[str, list[str]] = {"": []}
    lines = sections[""]
    for line in (root / "envs/tilewright.def").read_text().splitlines():
        if line.startswith("%"):
            lines = sections.setdefault(line[1:], [])
        elif line.strip() and not line.startswith("#"):
            lines.append(line.strip())
    return sections


def test_images_install_the_hashed_lock_and_nothing_else(root: Path):
    steps = dockerfile(root)
    assert {word for word, _ in steps} == {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "ENTRYPOINT"}
    assert [rest for word, rest in steps if word == "RUN"] == [
        "apt-get update && apt-get install --yes --no-install-recommends libexpat1 && rm -rf /var/lib/apt/lists/*",
        "python -m pip install --no-cache-dir --require-hashes --requirement envs/requirements.lock",
        "python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable .",
        "python -m compileall -q workflow",
    ]
    lock = locked(root)
    assert "snakemake" in lock and {"hatchling", "editables"} <= lock.keys()  # --no-build-isolation builds with them


def test_images_have_the_python_of_the_other_environments(root: Path):
    version = re.search(r"--python-version (\S+)", (root / "Makefile").read_text())
    assert version is not None
    python = version[1]
    assert ("FROM", f"python:{python}-slim-bookworm") in dockerfile(root)
    assert f"python={python}" in yaml.safe_load((root / "envs/environment.yaml").read_text())["dependencies"]


def test_docker_and_apptainer_make_the_same_image(root: Path):
    steps, sections = dockerfile(root), definition(root)
    assert set(sections) == {"", "files", "post", "runscript", "test"}
    bootstrap, base = sections[""]
    assert bootstrap == "Bootstrap: docker" and ("FROM", base.removeprefix("From: ")) in steps
    system, *python = [rest for word, rest in steps if word == "RUN"]
    assert sections["post"] == ["set -e", system, "cd /opt/tilewright", *python]
    copied = {}
    for sources, target in (rest.rsplit(" ", 1) for word, rest in steps if word == "COPY"):
        for source in sources.split():
            assert (root / source).exists(), source
            copied[source] = str(Path("/opt/tilewright", target) / (Path(source).name if target.endswith("/") else ""))
    assert dict(line.split() for line in sections["files"]) == {source: copied[source].rstrip("/") for source in copied}
    entry = next(rest for word, rest in steps if word == "ENTRYPOINT")
    assert sections["runscript"] == [f'exec {" ".join(json.loads(entry))} "$@"']
    # whatever the workflow reads beside its Snakefile
    assert {"Snakefile", "workflow", "config", "profiles", "envs/environment.yaml"} <= copied.keys()
