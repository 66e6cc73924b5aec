"""What Snakemake must know of a scheduler: how to submit a job, how it is, how to cancel it. Adapt the part of yours.

    scheduler.py submit JOBSCRIPT     prints the job's id
    scheduler.py status ID            prints running, success or failed
    scheduler.py cancel ID...

Two variables of the environment, of whoever calls Snakemake:

    TILEWRIGHT_SCHEDULER         slurm (default), pbs, sge or lsf
    TILEWRIGHT_SUBMIT_OPTIONS    further options for each submission, such as "-q long -A my-account"

`slurm` was tried on a Slurm; the others are written from the manuals of PBS Professional, Grid Engine and LSF.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RUNNING, SUCCESS, FAILED = "running", "success", "failed"


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
    bad = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")

    def submit(self, job: Job) -> list[str]:
        return [
            "sbatch", "--parsable", "--job-name", job.name, "--output", job.log, "--cpus-per-task", str(job.threads),
            "--mem", str(job.mem_mb), "--time", str(job.minutes),
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return printed.split(";")[0].strip()

    def status(self, job: str) -> str:
        code, printed = said(["squeue", "-h", "--states=all", "-o", "%T", "-j", job])
        if code and "Invalid job id" not in printed:
            return RUNNING  # too busy to answer: asked again later
        if code or not printed.strip():
            # it ended long ago (MinJobAge); accounting, where there is any, still knows it
            code, printed = said(["sacct", "-X", "-n", "-o", "State%20", "-j", job])
        state = "" if code else printed.strip().split(" ")[0].rstrip("+")
        if state == "COMPLETED":
            return SUCCESS
        return FAILED if state in (*self.bad, "") else RUNNING


class Pbs:
    """PBS Professional, OpenPBS. Torque wants `-l nodes=1:ppn=…,mem=…` in place of `select`."""

    cancel = "qdel"

    def submit(self, job: Job) -> list[str]:
        hours, minutes = divmod(job.minutes, 60)
        return [
            "qsub", "-V", "-N", job.name[:15], "-j", "oe", "-o", job.log,
            "-l", f"select=1:ncpus={job.threads}:mem={job.mem_mb}mb", "-l", f"walltime={hours}:{minutes:02}:00",
        ]  # fmt: skip

    def id(self, printed: str) -> str:
        return printed.strip()

    def status(self, job: str) -> str:
        code, printed = said(["qstat", "-x", "-f", job])  # -x: finished ones too
        if code:
            return FAILED if "Unknown Job" in printed else RUNNING
        if not re.search(r"job_state = [FX]", printed):
            return RUNNING
        return SUCCESS if re.search(r"Exit_status = 0\b", printed) else FAILED


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
        if code == 0 or "do not exist" not in printed:
            return RUNNING
        code, printed = said(["qacct", "-j", job])
        if code:
            return RUNNING  # not in the accounting yet
        ended = dict(line.split(None, 1) for line in printed.splitlines() if len(line.split(None, 1)) == 2)
        return SUCCESS if ended.get("exit_status", "").strip() == ended.get("failed", "").strip() == "0" else FAILED


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
            return FAILED
        return SUCCESS if state == "DONE" else FAILED if state in ("EXIT", "ZOMBI") else RUNNING


SCHEDULERS = {"slurm": Slurm, "pbs": Pbs, "sge": Sge, "lsf": Lsf}


def said(command: list[str]) -> tuple[int, str]:
    """The code and all output of a command; 1 where there is no such command, or no answer within half a minute."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout


def main(action: str, *given: str) -> None:
    """Do one of the three things."""
    name = os.environ.get("TILEWRIGHT_SCHEDULER", "slurm")
    if name not in SCHEDULERS:
        sys.exit(f"TILEWRIGHT_SCHEDULER={name}: must be one of {', '.join(SCHEDULERS)}")
    scheduler = SCHEDULERS[name]()
    if action == "submit":
        job = Job.of(given[0])
        options = shlex.split(os.environ.get("TILEWRIGHT_SUBMIT_OPTIONS", ""))
        done = subprocess.run(
            [*scheduler.submit(job), *options, job.script], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.returncode)  # the scheduler has said why
        print(scheduler.id(done.stdout))
    elif action == "status":
        print(scheduler.status(given[0]))
    else:
        sys.exit(subprocess.run([scheduler.cancel, *given], check=False).returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
