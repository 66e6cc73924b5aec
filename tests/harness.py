"""Running the real workflow in a directory of its own, and telling what it did."""

import copy
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from warm import warm

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One finished run of snakemake; `cpu_s`: CPU seconds of it and all its jobs."""

    code: int
    output: str
    cpu_s: float = 0.0

    @property
    def jobs(self) -> Counter[str]:
        """How often each rule ran to its end, `all` left out."""
        rules = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", self.output))
        del rules["all"]
        return rules

    @property
    def planned(self) -> Counter[str]:
        """How often each rule would run, as a dry run or the beginning of a run tells; `all` left out."""
        table = self.output.split("Job stats:\n", 1)[1].split("\n\n", 1)[0] if "Job stats:\n" in self.output else ""
        rules = Counter({rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)})
        del rules["all"], rules["total"]
        return rules

    @property
    def errors(self) -> list[str]:
        """The messages a user gets, one a fault: of the stages, and of Snakemake about the config."""
        return re.findall(r"^tilewright: error: (.*)$", self.output, re.MULTILINE)


@dataclass
class Project:
    """A working directory with a config, as a user has one."""

    directory: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    warm: bool = (
        False  # whether `run` takes processes that have imported everything: tests/warm.py says what they are not for
    )
    before: tuple[Path, ...] = ()  # config files that `config` is merged into

    @property
    def results(self) -> Path:
        return self.directory / "results" / self.config["dataset"]

    def tile(self, name: str) -> Path:
        return self.results / "tiles" / name

    def edited(self, **changes: Any) -> None:
        """Change top-level keys of the config."""
        self.config = {**copy.deepcopy(self.config), **changes}

    def command(self, *targets: str, cores: int = 2, options: tuple[str, ...] = ()) -> list[str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        return [
            str(self._programs[0] / "snakemake"), *targets, "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.directory), "--cores", str(cores), "--nocolor", *options, "--configfile", *map(str, self.before),
            str(self.directory / "config.yaml"),
        ]  # fmt: skip

    @property
    def _programs(self) -> list[Path]:
        """Folders of the programs that a run takes, the first first."""
        own = Path(sys.executable).parent
        return [warm().folder, own] if self.warm else [own]

    @property
    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([*map(str, self._programs), os.environ["PATH"]])
        return {**os.environ, "PATH": path, **self.environment}

    def run(self, *targets: str, cores: int = 2, options: tuple[str, ...] = (), good: bool = True) -> Run:
        """Run to the end; `good`: fail the test where it does not end well."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            self.command(*targets, cores=cores, options=options), env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.directory, timeout=600,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        run = Run(done.returncode, done.stdout, cpu_s)
        if good and done.returncode:
            raise AssertionError(run.output[-6000:])
        return run

    def kill_in_job(self, number: int, seconds: float, *targets: str, cores: int = 2) -> bool:
        """SIGKILL a run's whole process group `seconds` after its `number`th job began; whether it was still at work."""
        cold = replace(self, warm=False)
        process = subprocess.Popen(
            cold.command(*targets, cores=cores), env=cold._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, cwd=self.directory, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        begun = 0
        for line in process.stdout:
            begun += bool(re.match(r"Job \d+: ", line))
            if begun == number:
                break
        time.sleep(seconds)
        at_work = process.poll() is None
        if at_work:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
        return at_work

    def unlock(self) -> None:
        self.run(options=("--unlock",))

    def digests(self, below: str = "") -> dict[str, str]:
        """sha256 of every result file below the dataset's folder, by relative path; not of what a run's reading cost."""
        return digests(self.results, below)

    def leftovers(self) -> list[Path]:
        """Half-written files of any kind."""
        return [path for path in self.directory.rglob("*.part") if ".snakemake" not in path.parts]

    @property
    def logs(self) -> Path:
        return self.directory / "logs" / self.config["dataset"]

    def log(self, rule: str, name: str) -> str:
        return (self.logs / rule / f"{name}.log").read_text()


def digests(results: Path, below: str = "") -> dict[str, str]:
    """As `Project.digests`, of the dataset in a folder."""
    return {
        str(path.relative_to(results)): hashlib.sha256(_without_traffic(path)).hexdigest()
        for path in sorted((results / below).rglob("*"))
        if path.is_file() and not path.name.endswith(".traffic.json")
    }


def _without_traffic(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".html":
        return data
    # with the seal, which is of all that the page has
    return re.sub(rb'<section id="traffic">.*?</section>|<!-- tilewright:seal \w+ -->', b"", data, flags=re.DOTALL)


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A GeoJSON polygon feature."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def write_aoi(path: Path, *boxes: tuple[float, float, float, float]) -> str:
    """A GeoJSON AOI file of boxes; its path as a config names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [box(*each) for each in boxes]}))
    return str(path)
