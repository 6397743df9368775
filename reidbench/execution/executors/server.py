"""The process that forks workers: it imports once what stages need, and each worker is a copy of it.

`python -m reidbench.execution.executors.server FD` takes requests from the socket FD until that ends. A request is the
file of a stage's spec and the benchmark's threads; with it come four descriptors: the log, the events' pipe, the pipe
on which the worker's guard says how the worker fares, and the pipe whose end tells that the driver is gone.

For each the server forks a guard (see `guard`), which forks the worker, so that a worker may die alone; neither needs
the server any more. The worker does what `python -m reidbench.stages.run` does, and what it changes ends with it. A
fork copies one thread only, so the server never has another: its numeric libraries have one thread each, and it refuses
to fork when something that was imported has started one. It imports reidbench, the built-in plugins and the libraries
that they use. Other plugins are imported by workers, so that what they do then costs their own rows.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from reidbench.matrix.devices import asked_for
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.stages.provenance import installed
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

from . import forked, titles

LARGEST = 1 << 16  # bytes of a request
DESCRIPTORS = 4
# What stages import at some point of their work.
ALL = (
    "email.parser",  # of importlib.metadata
    "numpy.ma",  # of numpy.unique
    "threadpoolctl",
    *(f"PIL.{form}ImagePlugin" for form in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
)
TORCH = (
    "torch",
    "numpy.ctypeslib",
    "reidbench.training.batches.loading",
    "reidbench.training.checkpoint",
    "reidbench.training.devices",
    "reidbench.training.weights.artifacts",
)
TRAINING = ("lightning_fabric", "torch._dynamo")


class Server:
    """Forks a worker for each request on `asked`, a SOCK_SEQPACKET."""

    def __init__(self, asked: socket.socket) -> None:
        self.asked = asked
        self.guards: dict[int, int] = {}  # pid by the descriptor that tells its end
        self.stamps = _stamps()  # of the code that was imported
        self.heard, self.said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # what workers had to import
        self.heard.setblocking(False)
        self.said.setblocking(False)
        self.late: dict[str, list[str]] = {}  # modules that this process imports before it forks, by component

    def serve(self) -> None:
        """Until the socket ends, or the code on disk is no longer what was imported."""
        poll = select.poll()
        poll.register(self.asked, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor in self.guards:
                    poll.unregister(descriptor)
                    self._bury(descriptor)
                    continue
                message, given, *_ = socket.recv_fds(self.asked, LARGEST, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
                if not message:
                    return
                watched = self._answer(json.loads(message), given)
                if watched is None:
                    return
                if watched >= 0:
                    poll.register(watched, select.POLLIN)

    def _answer(self, request: dict[str, Any], given: list[int]) -> int | None:
        """The descriptor that tells the end of a new guard; -1 when none could be, None when the code has changed."""
        status = given[2]
        try:
            with contextlib.suppress(Exception, SystemExit):  # the worker finds the same, and says it
                request["component"] = self._prepare(Path(request["file"]))
            if self._outdated():
                return None
            if threads := _threads():
                forked.tell(status, refused=f"something that was imported has started threads ({threads})")
                return -1
            gc.freeze()  # collections in the workers would touch, and so copy, all that they share with this process
            pid = os.fork()
            if pid == 0:
                forked.guarded(request, given, [self.asked.fileno(), self.heard.fileno(), *self.guards], self.said)
        except OSError as error:
            forked.tell(status, failed=error.strerror)
            return -1
        finally:
            for descriptor in given:
                os.close(descriptor)
        watched = os.pidfd_open(pid)
        self.guards[watched] = pid
        return watched

    def _bury(self, watched: int) -> None:
        os.waitpid(self.guards.pop(watched), 0)
        os.close(watched)

    def _prepare(self, file: Path) -> str:
        """Import what the stage of a spec needs and no other plugin offers. The name of its component."""
        self._hear()
        spec = StageSpec.model_validate(json.loads(file.read_text()))
        for module in _needed(spec, plugins.load(frozenset(spec.without), others=False)):
            importlib.import_module(module)
        installed()  # once for all workers
        component = f"{spec.stage.kind} {spec.stage.use}"
        for module in self.late.pop(component, ()):
            with contextlib.suppress(ImportError):  # some are there only after others
                importlib.import_module(module)
        return component

    def _hear(self) -> None:
        """Take note of what workers had to import."""
        with contextlib.suppress(BlockingIOError):
            while True:
                component, modules = json.loads(self.heard.recv(LARGEST))
                self.late.setdefault(component, []).extend(modules)

    def _outdated(self) -> bool:
        """Whether a file of our own code has changed since it was imported."""
        now = _stamps()
        changed = any(now.get(file) != stamp for file, stamp in self.stamps.items())
        self.stamps = now
        return changed


def _stamps() -> dict[str, tuple[int, int] | None]:
    """Time and size of the files of reidbench and of built-in plugins that are imported; None for one that is gone."""
    found: dict[str, tuple[int, int] | None] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in forked.OURS and (file := getattr(module, "__file__", None)):
            try:
                state = os.stat(file)  # noqa: PTH116 - hundreds of files for each stage
                found[file] = state.st_mtime_ns, state.st_size
            except OSError:
                found[file] = None
    return found


def _threads() -> str:
    """The names of the threads of this process, or nothing where it has one, as it must before a fork."""
    tasks = list(Path("/proc/self/task").iterdir())
    return ", ".join(sorted((task / "comm").read_text().strip() for task in tasks)) if len(tasks) > 1 else ""


def _needed(spec: StageSpec, registry: Registry) -> Iterator[str]:
    """The modules that the stage's process would import for what is built in, the libraries first."""
    kind = spec.kind
    if asked_for(spec.stage.kind, spec.devices) > 1:
        return  # they run in processes of their own, and this one computes nothing
    yield from ALL
    if kind.torch:
        yield from TORCH
    if kind.torch and kind.component:
        yield from TRAINING
    named = [(kind.component, spec.stage.use)] + [("backbone", name) for name in _backbones(spec)]
    for key in named:
        if key in registry.components:
            yield registry.components[key].target.partition(":")[0]


def _backbones(spec: StageSpec) -> Iterator[str]:
    """The names of the networks that a stage starts from."""
    if spec.stage.backbone:
        yield spec.stage.backbone["use"]
    store = Store(spec.store)
    for _, key in spec.stage.parents:
        for file in ("embedder.json", "backbone.json"):
            with contextlib.suppress(OSError, ValueError):
                yield from _uses(json.loads((store.path(key) / file).read_text()))


def _uses(described: Any) -> Iterator[str]:
    """The backbones in a saved network's description, however deep."""
    if isinstance(described, dict):
        if isinstance(described.get("use"), str):
            yield described["use"]
        for value in described.values():
            yield from _uses(value)


# ---------------------------------------------------------------------- the server's own process
def main(arguments: list[str]) -> NoReturn:
    """Serve until the driver closes the socket, or is gone."""
    _end_with_the_starter()
    with contextlib.suppress(OSError):
        titles.retitle([sys.executable, "-m", "reidbench.execution.executors.server"])
    Server(socket.socket(fileno=int(arguments[0]))).serve()
    os._exit(0)


def _end_with_the_starter() -> None:
    """Have the kernel end this process when standard input ends, a pipe that nobody writes to: also in an import."""
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it ended before
        os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
