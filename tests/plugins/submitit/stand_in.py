"""Stand-in for Slurm on this machine: `sbatch`, `srun`, `scancel` and `sacct` as far as submitit calls them.

Called with one of these names and its arguments, it keeps one file for each job in $SLURM_STAND_IN: its process in
ID.pid, its state, if that is not what the process shows, in ID.state. With a file `refuse` there it accepts no job,
with a file `hold` it starts none.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PLACE = Path(os.environ.get("SLURM_STAND_IN", "."))


def sbatch(file):
    if (PLACE / "refuse").exists():
        sys.exit("sbatch: error: Batch job submission failed: Invalid partition name specified")
    number = 100 + len(list(PLACE.glob("*.sh")))
    shutil.copy(file, PLACE / f"{number}.sh")
    found = re.search(r"--array=0-(\d+)", Path(file).read_text())
    tasks = range(int(found[1]) + 1) if found else [None]
    for task in tasks:
        name = str(number) if task is None else f"{number}_{task}"
        (PLACE / f"{name}.job").touch()
        if not (PLACE / "hold").exists():
            own = {"SLURM_JOB_ID": str(number)}
            if task is not None:
                own |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(task)}
            made = subprocess.Popen(
                ["bash", file],
                env={**os.environ, **own},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            (PLACE / f"{name}.pid").write_text(str(made.pid))
    print(f"Submitted batch job {number}")


def srun(*words):
    words = list(words)
    job = os.environ["SLURM_JOB_ID"]
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID", ""), os.environ.get("SLURM_ARRAY_TASK_ID", "")
    while words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            file = words.pop(0)
            for pattern, value in {"%j": job, "%t": "0", "%A": array, "%a": task}.items():
                file = file.replace(pattern, value)
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1 if option == "--output" else 2)
    os.execvp(words[0], words)  # noqa: S606 - the command of the batch script


def scancel(job):
    (PLACE / f"{job}.state").write_text("CANCELLED by 0")
    end(job)


def end(job):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.killpg(int((PLACE / f"{job}.pid").read_text()), signal.SIGKILL)


def state(job):
    with contextlib.suppress(FileNotFoundError):
        return (PLACE / f"{job}.state").read_text()
    if not (PLACE / f"{job}.pid").exists():
        return "PENDING"
    stat = Path("/proc") / (PLACE / f"{job}.pid").read_text() / "stat"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if stat.read_text().rpartition(")")[2].split()[0] != "Z":
            return "RUNNING"
    return "COMPLETED"


def sacct(*words):
    print("JobID|State|NodeList")
    for file in sorted(PLACE.glob("*.job")):
        if file.stem.partition("_")[0] in words:
            print(f"{file.stem}|{state(file.stem)}|here")


if __name__ == "__main__":
    {one.__name__: one for one in (sbatch, srun, scancel, sacct)}[sys.argv[1]](*sys.argv[2:])
