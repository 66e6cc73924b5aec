"""What Snakemake must know of a scheduler: how to submit a job, how it is, how to cancel it. Adapt the part of yours.

    scheduler.py submit JOBSCRIPT     prints the job's id
    scheduler.py status ID            prints running, success or failed
    scheduler.py cancel ID...

Two variables of the environment, of whoever calls Snakemake:

    TILEWRIGHT_SCHEDULER         slurm (default), pbs, sge or lsf
    TILEWRIGHT_SUBMIT_OPTIONS    further options for each submission, such as "-q long -A my-account"

`slurm` was tried on a Slurm; the others are written from the manuals of PBS Professional, Grid Engine and LSF.

Many schedulers forget a job as it ends, unless they keep a history or accounting. So each job's script writes its exit code at its end,
and of a job that has left the queue this tells how it ended (`left`), whatever the scheduler.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

RUNNING, SUCCESS, FAILED = "running", "success", "failed"

# Of each job, until its end is known: a file with its exit code, and <id>.code with the path of this.
ENDS = Path("logs/cluster/ends")
# A job that has left the queue without an exit code was killed; but shared disks show what other nodes wrote up to a minute late.
PATIENCE_S = 120


@dataclass(frozen=True)
class Job:
    """What a job asks for, and where what it prints shall be."""

    script: str
    name: str
    threads: int
    mem_mb: int
    minutes: int
    log: str

    @classmethod
    def of(cls, script: str) -> "Job":
        """The job of a script of Snakemake's, whose properties are a comment in it."""
        found = re.search(r"^# properties = (\{.*\})$", Path(script).read_text(), re.MULTILINE)
        if found is None:
            sys.exit(f"{script}: has no line '# properties = …', so it is not a job script of Snakemake's")
        job = json.loads(found[1])
        name = "-".join([job.get("rule") or job["groupid"], *job.get("wildcards", {}).values()])
        log = Path("logs/cluster", f"{name}-{job['jobid']}.log").absolute()
        log.parent.mkdir(parents=True, exist_ok=True)
        asked = job["resources"]
        return cls(script, name, job["threads"], asked.get("mem_mb", 2000), asked.get("runtime", 60), str(log))


class Slurm:
    """Slurm, where its own plugin cannot be used."""

    cancel = "scancel"
    # All states that a job ends in, of all versions of Slurm. PREEMPTED: only where PreemptMode is CANCEL; a job that is queued again is
    # PENDING. REVOKED: another cluster of a federation has it, which is not asked here.
    bad = (
        "BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL",
        "REVOKED", "TIMEOUT",
    )  # fmt: skip

    def submit(self, job: Job) -> list[str]:
        return [
            "sbatch", "--parsable", "--job-name", job.name, "--output", job.log, "--cpus-per-task", str(job.threads),
            "--mem", str(job.mem_mb), "--time", str(job.minutes),
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return printed.split(";")[0].strip()

    def status(self, job: str) -> str:
        code, printed = said(["squeue", "-h", "--states=all", "-o", "%T %r", "-j", job])
        if code and "Invalid job id" not in printed:
            return RUNNING  # too busy to answer: asked again later
        if code or not printed.strip():
            # it ended long ago (MinJobAge); accounting, where there is any, still knows it
            code, printed = said(["sacct", "-X", "-n", "-o", "State%20", "-j", job])
            if code or not printed.strip():
                return left(job)
        if re.search(r"launch.failed.requeued.held", printed):
            return given_up(self.cancel, job)  # its node is broken, and it waits for an administrator
        state = printed.split()[0].rstrip("+")
        return SUCCESS if state == "COMPLETED" else FAILED if state in self.bad else RUNNING


class Pbs:
    """PBS Professional, OpenPBS. Torque wants `-l nodes=1:ppn=…,mem=…` in place of `select`."""

    cancel = "qdel"

    def submit(self, job: Job) -> list[str]:
        hours, minutes = divmod(job.minutes, 60)
        return [
            "qsub", "-V", "-S", "/bin/sh", "-N", job.name[:15], "-j", "oe", "-o", job.log,
            "-l", f"select=1:ncpus={job.threads}:mem={job.mem_mb}mb", "-l", f"walltime={hours}:{minutes:02}:00",
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return printed.strip()

    def status(self, job: str) -> str:
        code, printed = said(["qstat", "-f", job])  # not -x, for finished ones too: by default no history is kept
        if code:
            # where one is kept, it says that the job has finished
            return left(job) if re.search("Unknown Job|has finished", printed) else RUNNING
        if "too many failed attempts to run" in printed:
            return given_up(self.cancel, job)  # no node can start it, and it waits for an administrator
        return left(job) if re.search(r"job_state = [CFX]", printed) else RUNNING  # C: Torque's


class Sge:
    """Grid Engine and its kin. What a parallel environment and memory are called differs: see `qconf -spl` and `-sc`."""

    cancel = "qdel"

    def submit(self, job: Job) -> list[str]:
        return [
            "qsub", "-terse", "-V", "-cwd", "-S", "/bin/sh", "-N", job.name, "-j", "y", "-o", job.log, "-pe", "smp", str(job.threads),
            "-l", f"h_vmem={-(-job.mem_mb // job.threads)}M,h_rt={job.minutes * 60}",
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return printed.strip()

    def status(self, job: str) -> str:
        code, printed = said(["qstat", "-j", job])
        if code == 0 and re.search("^error reason", printed, re.MULTILINE):
            return given_up(self.cancel, job)  # Eqw: no node can start it, and it waits for somebody to clear the error
        # not qacct: accounting may be off, comes late, and is one file for all jobs that there ever were
        return left(job) if code and "do not exist" in printed else RUNNING


class Lsf:
    """IBM Spectrum LSF. Memory is in MB where LSF_UNIT_FOR_LIMITS says so."""

    cancel = "bkill"

    def submit(self, job: Job) -> list[str]:
        return [
            "bsub", "-J", job.name, "-o", job.log, "-n", str(job.threads), "-W", str(job.minutes), "-M", f"{job.mem_mb}MB",
            "-R", f"span[hosts=1] rusage[mem={job.mem_mb}MB]",
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return re.findall(r"Job <(\d+)>", printed)[0]

    def status(self, job: str) -> str:
        state = said(["bjobs", "-noheader", "-o", "stat", job])[1].strip()
        if "is not found" in state:
            return left(job)  # it ended long ago (CLEAN_PERIOD)
        return SUCCESS if state == "DONE" else FAILED if state in ("EXIT", "ZOMBI") else RUNNING


SCHEDULERS = {"slurm": Slurm, "pbs": Pbs, "sge": Sge, "lsf": Lsf}


def said(command: list[str]) -> tuple[int, str]:
    """The code and all output of a command; 1 where there is no such command, or no answer within half a minute."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout


def with_end(script: str) -> Path:
    """Make a job's script write its exit code at its end, and give the path where. One that is killed writes nothing."""
    path, text = Path(ENDS, uuid.uuid4().hex).absolute(), Path(script).read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    comments = re.match(r"(#.*\n|\s*\n)*", text)[0]  # a scheduler's directives stay before all commands
    file = shlex.quote(str(path))
    Path(script).write_text(
        f"{comments}(\n{text[len(comments) :]}\n)\ncode=$?\necho $code > {file}.part && mv {file}.part {file}\nexit $code\n"
    )
    return path


def left(job: str) -> str:
    """How a job ended that has left the queue: by the exit code that its script wrote."""
    known, since = Path(ENDS, f"{job}.code"), Path(ENDS, f"{job}.left")
    ENDS.mkdir(parents=True, exist_ok=True)
    list(ENDS.iterdir())  # NFS looks anew for files that were not there
    if known.is_file() and (code := Path(known.read_text())).is_file():
        return SUCCESS if code.read_text().strip() == "0" else FAILED
    if not since.is_file():
        since.write_text(str(time.time()))
    return FAILED if time.time() - float(since.read_text()) > PATIENCE_S else RUNNING


def given_up(cancel: str, job: str) -> str:
    """A job that the scheduler never will start by itself: failed, and cancelled, lest it run beside its next attempt."""
    said([cancel, job])
    return FAILED


def forget(job: str) -> None:
    """Remove what tells of a job's end, once Snakemake knows it."""
    known = Path(ENDS, f"{job}.code")
    files = [known, Path(ENDS, f"{job}.left"), *([Path(known.read_text())] if known.is_file() else [])]
    for file in files:
        file.unlink(missing_ok=True)


def main(action: str, *given: str) -> None:
    """Do one of the three things."""
    name = os.environ.get("TILEWRIGHT_SCHEDULER", "slurm")
    if name not in SCHEDULERS:
        sys.exit(f"TILEWRIGHT_SCHEDULER={name}: must be one of {', '.join(SCHEDULERS)}")
    scheduler = SCHEDULERS[name]()
    if action == "submit":
        job = Job.of(given[0])
        end = with_end(job.script)
        options = shlex.split(os.environ.get("TILEWRIGHT_SUBMIT_OPTIONS", ""))
        done = subprocess.run(
            [*scheduler.submit(job), *options, job.script], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.returncode)  # the scheduler has said why
        number = scheduler.id(done.stdout)
        Path(ENDS, f"{number}.code").write_text(str(end))
        Path(ENDS, f"{number}.left").unlink(missing_ok=True)  # of an older job, where numbers begin anew
        print(number)
    elif action == "status":
        state = scheduler.status(given[0])
        print(state)
        if state != RUNNING:
            forget(given[0])
    else:
        sys.exit(subprocess.run([scheduler.cancel, *given], check=False).returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
