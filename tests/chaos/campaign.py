"""Chaos: seeded runs that something befalls. After one mend and one more run the dataset must be what it always is.

python tests/chaos/campaign.py --runs 30 --seed 1        (make chaos)
"""

import argparse
import copy
import random
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from disturbances import FAULTS, JOBS, ImpossibleHereError, Scene, ended

from conftest import SOUTH, SOUTH_BOX, config_of
from harness import Project, write_aoi
from tilewright.config.simulated import Simulate
from tilewright.simulate import make_world

# How many of 30 runs each fault has.
SHARES = {
    "job killed": 5, "all killed": 5, "Snakemake killed": 5, "disk full": 4, "files spoiled": 5, "clock jumps": 4, "node lost": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of one run."""

    number: int
    seed: int
    fault: str
    said: str  # where and when it struck
    done: int  # jobs that had ended well before the mend
    again: int  # jobs of the run after it
    wrong: tuple[str, ...]  # what was not as it must be
    cpu_s: float

    @property
    def twice(self) -> int:
        """Jobs that were done a second time."""
        return self.done + self.again - JOBS


def disturb(folder: Path, sound: Project, fault: str, seed: int, number: int = 0) -> Outcome:
    """One run in `folder`: the fault, the mend, one more run, and what is there then.

    Raises:
        ImpossibleHereError: where the fault needs what this machine has not.
    """
    begun = _cpu_s()
    scene = Scene(Project(folder / f"run-{number}", copy.deepcopy(sound.config)), sound, random.Random(seed))
    project = replace(scene.project, warm=sound.warm)  # after the fault, which is of processes as they are
    with ended(scene):
        said = FAULTS[fault](scene)
        log = project.directory.with_suffix(".log")
        done = _jobs_done(log) if log.exists() else JOBS
        if log.exists():
            project.unlock()
        if scene.mend == "verify":
            verify(project, "--delete")
        run = project.run(options=scene.options, good=False)
        wrong = [f"the run after it ended with {run.code}: {'; '.join(run.errors)}"] if run.code else []
        made, expected = project.digests(), sound.digests()
        wrong += [f"{name}: other bytes, or not there" for name in sorted(expected) if made.get(name) != expected[name]]
        wrong += [f"{name}: should not be there" for name in sorted(made.keys() - expected.keys())]
        wrong += [f"{path}: half-written" for path in project.leftovers()]
        planned = project.run(options=("--dry-run",)).planned
        wrong += [f"still to do: {dict(planned)}"] if planned else []
        if scene.mend == "verify" and verify(project):
            wrong.append("verify still finds damage")
        if wrong:
            (folder / f"run-{number}.after.log").write_text(run.output)
    return Outcome(number, seed, fault, said, done, sum(run.jobs.values()), tuple(wrong), _cpu_s() - begun)


def verify(project: Project, *options: str) -> int:
    """`tilewright verify` as a user calls it; its exit code."""
    command = [sys.executable, "-m", "tilewright", "verify", str(project.results.relative_to(project.directory))]
    return subprocess.run(
        [*command, "--configfile", "config.yaml", *options],
        cwd=project.directory,
        check=False,
        stdout=subprocess.DEVNULL,
    ).returncode


def _jobs_done(log: Path) -> int:
    return len(re.findall(r"Finished jobid: \d+ \(Rule: (?!all\b)", log.read_text()))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def undisturbed(folder: Path) -> Project:
    """The dataset as it must be: one tile, two periods, labels."""
    make_world(Simulate(seed=7, sites=[SOUTH], years=[2019], scenes_per_year=6), folder / "world")
    config = config_of(folder / "world", write_aoi(folder / "aoi.geojson", SOUTH_BOX))
    sound = Project(folder / "sound", config)
    assert sum(sound.run().jobs.values()) == JOBS
    return sound


def faults_of(runs: int, draw: random.Random) -> Iterator[str]:
    """The faults of so many runs, in a drawn order, each as often as its share."""
    while runs > 0:
        whole = [fault for fault, share in SHARES.items() for _ in range(share)]
        draw.shuffle(whole)
        yield from whole[:runs]
        runs -= len(whole)


def row(outcome: Outcome) -> str:
    verdict = "identical" if not outcome.wrong else "NOT IDENTICAL"
    return (
        f"{outcome.number:3} {outcome.seed:6} {outcome.fault:17} {outcome.done:4} {outcome.again:5} {outcome.twice:5} "
        f"{outcome.cpu_s:6.0f}  {verdict:13} {outcome.said}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(FAULTS), help="this fault alone")
    parser.add_argument("--folder", type=Path, help="kept, to look into; without it one that is removed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=args.folder) as temporary:
        folder = args.folder or Path(temporary)
        return campaign(folder, args.runs, args.seed, args.only)


def campaign(folder: Path, runs: int, seed: int, only: str | None) -> int:
    sound = undisturbed(folder)
    print(
        f"{'run':>3} {'seed':>6} {'fault':17} {'done':>4} {'again':>5} {'twice':>5} {'CPU s':>6}  {'dataset':13} what befell it"
    )
    outcomes, skipped = [], 0
    for number, fault in enumerate(faults_of(runs, random.Random(seed)), 1):
        try:
            outcome = disturb(folder, sound, only or fault, 1000 * seed + number, number)
        except ImpossibleHereError as reason:
            skipped += 1
            print(f"{number:3} {1000 * seed + number:6} {only or fault:17} left out: {reason}", flush=True)
            continue
        outcomes.append(outcome)
        print(row(outcome), flush=True)
        for each in outcome.wrong:
            print(f"           {each}", flush=True)
    good = sum(not outcome.wrong for outcome in outcomes)
    print(
        f"{good} of {len(outcomes)} runs ended with the same bytes as the undisturbed one, nothing half-written and nothing to do; {skipped} left out. "
        f"Of {JOBS} jobs a run {sum(outcome.twice for outcome in outcomes) / max(len(outcomes), 1):.1f} were done twice on average. "
        f"{sum(outcome.cpu_s for outcome in outcomes) / 60:.1f} CPU minutes"
    )
    return 0 if good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
