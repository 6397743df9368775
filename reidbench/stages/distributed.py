"""Run one stage on several devices of this machine: one process per device runs the same code, and one watches.

The watching process owns the stage's claim, folder and place in the table; it imports no torch and computes nothing.
The first rank writes the artifact and the checkpoints and reports events; the others write into temporary folders and
report only why they failed. They meet through a file and communicate over the loopback interface only. If one fails or
dies, all end and the stage fails with the reason of the first; if the watching process dies, they end too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from reidbench.errors import ReidbenchError
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store

from . import worker
from .spec import StageSpec

GRACE = 2.0  # seconds in which other ranks may still report why they failed, before they are killed
DEATH_IS_OLDER = 1.0  # seconds by which a death without a report counts as earlier than its detection
LAST_WORDS = ("failed", "damaged")
LONGEST_WAIT = timedelta(hours=1)  # of a rank for the others, as while the first measures; deaths are noticed at once


class Place(BaseModel):
    """One of the processes of a stage: its rank, the file through which they meet, and its folder."""

    model_config = ConfigDict(frozen=True)
    rank: int
    ranks: int
    meeting: Path
    out: Path


Work = Callable[[StageSpec, Place, worker.Emit], dict[str, Any]]


class RankFailed(ReidbenchError):
    """Raised when one process of a stage on several devices failed; the message is its own."""


@dataclass
class _Rank:
    """Watched process and the events that it reported."""

    number: int
    process: subprocess.Popen[bytes]
    answer: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    left_at: float | None = None  # when it ended
    code: int = 0


@dataclass
class _Watch:
    ranks: list[_Rank] = field(default_factory=list)
    heard: queue.Queue[tuple[_Rank, dict[str, Any] | None]] = field(default_factory=queue.Queue)


def run(spec: StageSpec, devices: int, folder: Path, emit: worker.Emit) -> dict[str, Any]:
    """Run the stage of `spec` on this number of devices; `folder` receives the artifact's files.

    Returns the answer of `work`: metrics, notes and seconds of work. Raises DamagedArtifact like the ranks, and
    RankFailed with the reason of the first rank that failed.
    """
    scratch = Store(spec.store).scratch(spec.stage.key)
    meeting = scratch / f"meeting-{os.getpid()}-{time.time_ns()}"  # a file; removed with the scratch folder
    watch = _Watch()
    try:
        for number in range(devices):
            out = folder if number == 0 else scratch / f"rank-{number}"
            place = Place(rank=number, ranks=devices, meeting=meeting, out=out)
            watch.ranks.append(_start(spec, place, watch))
        return _listen(watch, emit)
    finally:
        _end(watch.ranks)
        meeting.unlink(missing_ok=True)


def _start(spec: StageSpec, place: Place, watch: _Watch) -> _Rank:
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "reidbench.stages.run", "--rank"],
            stdin=subprocess.PIPE,
            pass_fds=(writing,),
            env={
                **worker.environment(spec.threads, writing),
                **_loopback(),
                **_one_node(place.rank),
            },
        )
    finally:
        os.close(writing)
    rank = _Rank(place.rank, process)
    threading.Thread(target=_hear, args=(rank, reading, watch), daemon=True).start()
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died; the watch thread reports it
        process.stdin.write(json.dumps([spec.dump(), place.model_dump(mode="json")]).encode() + b"\n")
        process.stdin.flush()  # stays open: the rank ends when it closes
    return rank


def _loopback() -> dict[str, str]:
    """Keep the process group's sockets off the network."""
    names = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    return {f"{library}_SOCKET_IFNAME": names[0] for library in ("GLOO", "NCCL")} if names else {}


def _one_node(rank: int) -> dict[str, str]:
    """Return Fabric's variables for a process, regardless of the launcher that started this one."""
    return {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}


def _hear(rank: _Rank, reading: int, watch: _Watch) -> None:
    with os.fdopen(reading) as events:
        for line in events:
            with suppress(ValueError):  # a line cut short by its death
                watch.heard.put((rank, json.loads(line)))
    rank.code = rank.process.wait()
    rank.left_at = time.monotonic()
    watch.heard.put((rank, None))


def _listen(watch: _Watch, emit: worker.Emit) -> dict[str, Any]:
    """Forward the first rank's events until all ranks have answered."""
    while not all(rank.answer is not None and rank.left_at is not None for rank in watch.ranks):
        rank, event = watch.heard.get()
        _note(rank, event, emit)
        if _failed(rank):
            _last_words(watch, emit)
            raise _reason(watch.ranks)
    answer = watch.ranks[0].answer
    assert answer is not None
    return {name: value for name, value in answer.items() if name != "event"}


def _note(rank: _Rank, event: dict[str, Any] | None, emit: worker.Emit) -> None:
    if event is None:
        return
    if event["event"] == "answer":
        rank.answer = event
    elif event["event"] in LAST_WORDS:
        rank.failure = event
    elif rank.number == 0:
        emit(event)


def _failed(rank: _Rank) -> bool:
    return rank.failure is not None or (rank.left_at is not None and (rank.answer is None or rank.code != 0))


def _last_words(watch: _Watch, emit: worker.Emit) -> None:
    """Collect reports after a failure: one failure causes others, and the first is the reason."""
    until = time.monotonic() + GRACE
    while any(rank.left_at is None for rank in watch.ranks) and (left := until - time.monotonic()) > 0:
        with suppress(queue.Empty):
            rank, event = watch.heard.get(timeout=left)
            _note(rank, event, lambda event: None)


def _reason(ranks: Sequence[_Rank]) -> ReidbenchError:
    """Return the reason of the first rank that failed, or how it died."""
    first = min((rank for rank in ranks if _failed(rank)), key=_failed_at)
    if first.failure is None:
        how = (
            f"was killed by {signal.Signals(-first.code).name}"
            if first.code < 0
            else f"ended with exit code {first.code}"
        )
        return RankFailed(f"the process of device {first.number + 1} of {len(ranks)} {how}")
    if first.failure["event"] == "damaged":
        return DamagedArtifact(first.failure["key"], first.failure["error"])
    error = RankFailed(first.failure["error"])
    error.add_note(f"On device {first.number + 1} of {len(ranks)}:\n{first.failure['traceback']}")
    return error


def _failed_at(rank: _Rank) -> float:
    """Return the time of failure on the monotonic clock, which all processes of a machine share."""
    if rank.failure is not None:
        return float(rank.failure["at"])
    return (rank.left_at or 0.0) - DEATH_IS_OLDER


def _end(ranks: Sequence[_Rank]) -> None:
    for rank in ranks:
        rank.process.kill()
    for rank in ranks:
        rank.process.wait()
        if rank.process.stdin is not None:
            with suppress(BrokenPipeError):
                rank.process.stdin.close()


# ---------------------------------------------------------------------- in a rank's process
def serve(work: Work) -> int:
    """Run as one rank: `work(spec, place, emit)` returns metrics, notes and seconds of work.

    The first line of standard input contains spec and place.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the watching process, which ends this one
    emit = worker.writer(os.fdopen(int(os.environ.pop(worker.EVENTS)), "w"))
    given = json.loads(sys.stdin.readline())
    worker.leave_with_the_starter()
    spec, place = StageSpec.model_validate(given[0]), Place.model_validate(given[1])
    code = 0
    try:
        with joined(place.rank, place.ranks, place.meeting):
            place.out.mkdir(parents=True, exist_ok=True)
            emit({"event": "answer", **work(spec, place, emit if place.rank == 0 else _say_nothing)})
    except DamagedArtifact as error:
        emit({"event": "damaged", "key": error.key, "error": str(error), "at": time.monotonic()})
        code = 1
    except BaseException as error:  # noqa: BLE001 - any exception of a plugin affects one cell only
        text = traceback.format_exc()
        emit({"event": "failed", "error": worker.describe(error), "traceback": text, "at": time.monotonic()})
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without cleanup, which would wait for dead ranks


def _say_nothing(event: dict[str, Any]) -> None:
    """Ignore an event; the first rank reports for all."""


@contextmanager
def joined(rank: int, ranks: int, meeting: Path) -> Iterator[None]:
    """Join the process group of all ranks: nccl with GPUs, one per rank, otherwise gloo.

    Ranks meet through the file `meeting`, which must not exist yet. Raises ReidbenchError if there are GPUs, but fewer
    than ranks.
    """
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        if torch.cuda.device_count() < ranks:
            raise ReidbenchError(
                f"{ranks} devices requested, but only {torch.cuda.device_count()} available; see `devices`"
            )
        torch.cuda.set_device(rank)
        backend = "nccl"
    store = dist.FileStore(str(meeting), ranks)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if sys.exc_info()[0] is None:  # after an error, others may wait in an exchange, and leaving would wait too
            dist.destroy_process_group()


def fabric(ranks: int, precision: str, accelerator: str) -> Any:
    """Return the Lightning Fabric of a stage; with several ranks it uses the joined group and starts no process.

    Buffers are not broadcast at every step: queues are equal on all ranks, and batch norm is synchronised or averaged.
    """
    from lightning_fabric import Fabric

    if ranks == 1:
        made = Fabric(accelerator=accelerator, devices=1, precision=precision)
    else:
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.strategies import DDPStrategy
        from torch.nn.parallel import DistributedDataParallel

        # torch 2.13 renamed it and warns about the old name.
        names = signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        strategy = DDPStrategy(cluster_environment=LightningEnvironment(), **{name: False})
        made = Fabric(accelerator=accelerator, devices=ranks, strategy=strategy, precision=precision)
    made.launch()
    return made
