"""One stage on several devices of this machine: a process for each, all running the same code, and one that watches.

The watching process holds the stage's claim, its folder and its place in the table; it imports no torch and computes
nothing. The first rank writes the artifact and the checkpoints and tells what happens; the others write what they
write into a folder of their own, which is thrown away, and say nothing but why they failed. They meet through a file
and talk over the loopback interface only. When one of them fails or dies, all end, and the stage fails with the reason
of the first; when the watching process dies, they end with it.
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
from reidbench.store.artifacts import DamagedArtifact, Store

from . import worker
from .spec import StageSpec

GRACE = 2.0  # seconds in which other ranks may still say why they failed, before they are ended
DEATH_IS_OLDER = 1.0  # seconds by which a death without a word counts as earlier than it was noticed
LAST_WORDS = ("failed", "damaged")
LONGEST_WAIT = timedelta(hours=1)  # of a rank for the others, as while the first measures; the dead are noticed at once


class Place(BaseModel):
    """Which of the processes of a stage one is, the file through which they find each other, and its folder."""

    model_config = ConfigDict(frozen=True)
    rank: int
    ranks: int
    meeting: Path
    out: Path


Work = Callable[[StageSpec, Place, worker.Emit], dict[str, Any]]


class RankFailed(ReidbenchError):
    """One process of a stage on several devices has failed; the sentence is its own."""


@dataclass
class _Rank:
    """A process that is watched, and what it has said."""

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
    """Run the stage of `spec` on so many devices; the artifact's files are in `folder` afterwards.

    Returns what `work` answered: its metrics, notes and seconds of work. Raises DamagedArtifact as the ranks do, and
    RankFailed with the first rank's reason.
    """
    scratch = Store(spec.store).scratch(spec.stage.key)
    meeting = scratch / f"meeting-{os.getpid()}-{time.time_ns()}"  # a file; what a kill leaves goes with the scratch
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
    with suppress(BrokenPipeError):  # it is gone already, which the watch is told
        process.stdin.write(json.dumps([spec.dump(), place.model_dump(mode="json")]).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end is the rank's
    return rank


def _loopback() -> dict[str, str]:
    """Keep the process group's sockets off the network."""
    names = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    return {f"{library}_SOCKET_IFNAME": names[0] for library in ("GLOO", "NCCL")} if names else {}


def _one_node(rank: int) -> dict[str, str]:
    """Fabric's place of a process, whatever launcher this one was started by."""
    return {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}


def _hear(rank: _Rank, reading: int, watch: _Watch) -> None:
    with os.fdopen(reading) as events:
        for line in events:
            with suppress(ValueError):  # a line that its death cut short
                watch.heard.put((rank, json.loads(line)))
    rank.code = rank.process.wait()
    rank.left_at = time.monotonic()
    watch.heard.put((rank, None))


def _listen(watch: _Watch, emit: worker.Emit) -> dict[str, Any]:
    """Pass the first rank's events on until all have answered."""
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
    """One failure makes others: hear them, for the first of them is the reason."""
    until = time.monotonic() + GRACE
    while any(rank.left_at is None for rank in watch.ranks) and (left := until - time.monotonic()) > 0:
        with suppress(queue.Empty):
            rank, event = watch.heard.get(timeout=left)
            _note(rank, event, lambda event: None)


def _reason(ranks: Sequence[_Rank]) -> ReidbenchError:
    """What the first that failed said, or how it died."""
    first = min((rank for rank in ranks if _failed(rank)), key=_failed_at)
    if first.failure is None:
        how = f"killed by {signal.Signals(-first.code).name}" if first.code < 0 else f"gone with exit code {first.code}"
        return RankFailed(f"the process of device {first.number + 1} of {len(ranks)} was {how}")
    if first.failure["event"] == "damaged":
        return DamagedArtifact(first.failure["key"], first.failure["error"])
    error = RankFailed(first.failure["error"])
    error.add_note(f"On device {first.number + 1} of {len(ranks)}:\n{first.failure['traceback']}")
    return error


def _failed_at(rank: _Rank) -> float:
    """By the monotonic clock, which all processes of this machine share."""
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
    """Be one rank: `work(spec, place, emit)` gives metrics, notes and seconds of work.

    Spec and place are the first line of standard input.
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
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises costs one cell
        text = traceback.format_exc()
        emit({"event": "failed", "error": worker.describe(error), "traceback": text, "at": time.monotonic()})
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # no tidying up, which would wait for ranks that are gone


def _say_nothing(event: dict[str, Any]) -> None:
    """The first rank tells for all."""


@contextmanager
def joined(rank: int, ranks: int, meeting: Path) -> Iterator[None]:
    """Belong to the process group of all ranks: nccl where there are GPUs, one for each, gloo on CPUs.

    They find each other through the file `meeting`, which must not be there before. Raises ReidbenchError where there
    are GPUs, but fewer than ranks.
    """
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        if torch.cuda.device_count() < ranks:
            raise ReidbenchError(f"{ranks} devices asked for, {torch.cuda.device_count()} here; see `devices`")
        torch.cuda.set_device(rank)
        backend = "nccl"
    store = dist.FileStore(str(meeting), ranks)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        if sys.exc_info()[0] is None:  # else others may wait in an exchange, and an end would wait for them
            dist.destroy_process_group()


def fabric(ranks: int, precision: str, accelerator: str) -> Any:
    """The Lightning Fabric of a stage; with several ranks, one that starts no process, in the group that was joined.

    Buffers are not sent around at every step: queues are equal on all ranks, and batch norm is joined or averaged.
    """
    from lightning_fabric import Fabric

    if ranks == 1:
        made = Fabric(accelerator=accelerator, devices=1, precision=precision)
    else:
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.strategies import DDPStrategy
        from torch.nn.parallel import DistributedDataParallel

        # torch 2.13 has renamed it, and warns of the old name.
        names = signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        strategy = DDPStrategy(cluster_environment=LightningEnvironment(), **{name: False})
        made = Fabric(accelerator=accelerator, devices=ranks, strategy=strategy, precision=precision)
    made.launch()
    return made
