"""Runs an external program within limits, in its own environment, and ends it with all its processes."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import Any

import torch

from reidbench import Context
from reidbench.errors import ReidbenchError
from reidbench.execution.executors.limits import Limits, end, guarded_program
from reidbench.stages.worker import THREAD_VARIABLES

from .output import Output
from .params import CommandParams
from .template import filled

POLL = 0.1  # seconds between checks of a program that prints nothing
LOOK_SHARE = 20  # memory checks use at most 1/20 of a core


def run(ctx: Context[Any], field: str, values: Mapping[str, str]) -> None:
    """Run the command in parameter `train` or `extract`, with values for its placeholders.

    Raises ReidbenchError if the program cannot be started, fails or exceeds its limits.
    """
    params: CommandParams = ctx.params
    words = filled(getattr(params, field), values, shell=params.shell)
    variables = environment(params.env)
    limits = Limits(params.minutes and params.minutes * 60, params.memory_gb)
    _check_found(field, words[0], params, variables)
    output = Output(ctx.log_file, params.env.values())
    try:
        output.title(f"$ {shlex.join(words)}")
        code, broken, said = _follow(_start(words, params, variables), output, limits)
    finally:
        output.close()
    if said.startswith("not started: "):
        raise ReidbenchError(f"{field}: cannot start {words[0]}: {said.removeprefix('not started: ')}")
    if broken or code:
        line = f"its last line: {output.last_line}" if output.last_line else "it printed nothing"
        raise ReidbenchError(f"{field} {broken or _ending(code)}; {line}")
    if said.startswith("left "):
        ctx.note(f"{field} ended and had left processes running ({said.removeprefix('left ')}), which were ended")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return this process's variables without those for its Python, with its thread count and the given variables."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REIDBENCH_"))}
    threads = dict.fromkeys(THREAD_VARIABLES, str(torch.get_num_threads()))
    # Bytecode would change the listed folders, and buffered output is lost when a program is killed.
    python = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    return {**outer, **threads, **python, **own}


def _check_found(field: str, program: str, params: CommandParams, variables: Mapping[str, str]) -> None:
    place = params.folder / program if os.sep in program else program
    if shutil.which(place, path=variables.get("PATH")) is None:
        where = f"in {params.folder}" if os.sep in program else "in PATH"
        raise ReidbenchError(f"{field}: program {program} not found {where}")


def _start(words: list[str], params: CommandParams, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = guarded_program(words)
    guarded = command != words
    return subprocess.Popen(  # noqa: S603 - the user's own command
        command,
        stdin=subprocess.PIPE if guarded else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if guarded else subprocess.STDOUT,
        cwd=params.folder,
        env=variables,
        start_new_session=True,
    )


def _follow(process: subprocess.Popen[bytes], output: Output, limits: Limits) -> tuple[int, str, str]:
    """Read a program's output until it ends. Return its exit code, the exceeded limit and its guard's message."""
    with process:
        try:
            broken = _watch(process, output, limits)
        finally:
            end(process.pid)  # does nothing for a process that has already ended
        code = process.wait()
        said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    return code, broken, said


def _watch(process: subprocess.Popen[bytes], output: Output, limits: Limits) -> str:
    """Return the limit that a program exceeded and was killed for, or ""."""
    assert process.stdout is not None
    reading = process.stdout.fileno()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    began = look_at = time.monotonic()
    open_ = True
    while True:
        gone = process.poll() is not None  # checked first: earlier output is read below
        if open_ and poll.poll(0 if gone else POLL * 1000):
            block = os.read(reading, 1 << 16)
            open_ = bool(block)
            output.write(block)
        elif gone:
            return ""
        elif not open_:  # it has closed its output but still runs
            time.sleep(POLL)
        now = time.monotonic()
        if now >= look_at:
            if broken := limits.broken(process.pid, began):
                return broken
            look_at = time.monotonic() + LOOK_SHARE * (time.monotonic() - now)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # real-time signals have numbers only
        return f"was killed by signal {-code}"
