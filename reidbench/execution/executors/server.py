"""Process that forks workers: it imports everything stages need once, and each worker is a copy.

`python -m reidbench.execution.executors.server FD` reads requests from the socket FD until it closes. A request is the
file of a stage's spec and the benchmark's threads, with four descriptors: the log, the events' pipe, the pipe for
status reports of the worker's guard, and a pipe that closes when the driver ends.

For each request the server forks a guard (see `guard`), which forks the worker, so that a worker can die alone; neither
depends on the server afterwards. The worker does the same as `python -m reidbench.stages.run`, and its changes end with
it. A fork copies one thread only, so the server never has another: its numeric libraries have one thread each, and it
refuses to fork if an imported module has started one. It imports reidbench, the built-in plugins and their libraries.
Workers import other plugins themselves, so that failures then affect only their own rows.
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
# Modules that stages import at some point.
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
        self.guards: dict[int, int] = {}  # pid by the descriptor that shows its end
        self.stamps = _stamps()  # of the imported code
        self.heard, self.said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # imports reported by workers
        self.heard.setblocking(False)
        self.said.setblocking(False)
        self.late: dict[str, list[str]] = {}  # modules to import before a fork, by component

    def serve(self) -> None:
        """Serve until the socket closes or the code on disk changes."""
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
        """Return the descriptor that shows the end of a new guard; -1 on failure, None if the code has changed."""
        status = given[2]
        try:
            with contextlib.suppress(Exception, SystemExit):  # the worker gets the same error and reports it
                request["component"] = self._prepare(Path(request["file"]))
            if self._outdated():
                return None
            if threads := _threads():
                forked.tell(status, refused=f"an imported module has started threads ({threads})")
                return -1
            gc.freeze()  # garbage collection in workers would touch, and so copy, all memory shared with this process
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
        """Import what the stage of a spec needs, except other plugins. Returns the name of its component."""
        self._hear()
        spec = StageSpec.model_validate(json.loads(file.read_text()))
        for module in _needed(spec, plugins.load(frozenset(spec.without), others=False)):
            importlib.import_module(module)
        installed()  # once for all workers
        component = f"{spec.stage.kind} {spec.stage.use}"
        for module in self.late.pop(component, ()):
            with contextlib.suppress(ImportError):  # some exist only after others are imported
                importlib.import_module(module)
        return component

    def _hear(self) -> None:
        """Record the imports reported by workers."""
        with contextlib.suppress(BlockingIOError):
            while True:
                component, modules = json.loads(self.heard.recv(LARGEST))
                self.late.setdefault(component, []).extend(modules)

    def _outdated(self) -> bool:
        """Return whether a file of reidbench has changed since it was imported."""
        now = _stamps()
        changed = any(now.get(file) != stamp for file, stamp in self.stamps.items())
        self.stamps = now
        return changed


def _stamps() -> dict[str, tuple[int, int] | None]:
    """Return time and size of the imported files of reidbench and built-in plugins; None for a missing one."""
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
    """Return the names of this process's threads, or "" if there is one only, as a fork requires."""
    tasks = list(Path("/proc/self/task").iterdir())
    return ", ".join(sorted((task / "comm").read_text().strip() for task in tasks)) if len(tasks) > 1 else ""


def _needed(spec: StageSpec, registry: Registry) -> Iterator[str]:
    """Yield the built-in modules that the stage's process would import, libraries first."""
    kind = spec.kind
    if asked_for(spec.stage.kind, spec.devices) > 1:
        return  # each rank is a separate process; this one computes nothing
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
    """Yield the names of the networks that a stage starts from."""
    if spec.stage.backbone:
        yield spec.stage.backbone["use"]
    store = Store(spec.store)
    for _, key in spec.stage.parents:
        for file in ("embedder.json", "backbone.json"):
            with contextlib.suppress(OSError, ValueError):
                yield from _uses(json.loads((store.path(key) / file).read_text()))


def _uses(described: Any) -> Iterator[str]:
    """Yield the backbones in a saved network's description, at any depth."""
    if isinstance(described, dict):
        if isinstance(described.get("use"), str):
            yield described["use"]
        for value in described.values():
            yield from _uses(value)


# ---------------------------------------------------------------------- the server's own process
def main(arguments: list[str]) -> NoReturn:
    """Serve until the driver closes the socket, or ends."""
    _end_with_the_starter()
    with contextlib.suppress(OSError):
        titles.retitle([sys.executable, "-m", "reidbench.execution.executors.server"])
    Server(socket.socket(fileno=int(arguments[0]))).serve()
    os._exit(0)


def _end_with_the_starter() -> None:
    """Let the kernel end this process when standard input, an unused pipe, closes: also during an import."""
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it has already closed
        os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1:])
