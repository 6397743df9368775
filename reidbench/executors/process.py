"""One subprocess a stage: a killed child costs one cell, and its memory goes with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..store import Store
from .base import OnEvent, Result

POLL = 0.2  # seconds that `wait` waits for a result
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Processes:
    """Up to `slots` stages at a time, each in a worker process that ends with its driver."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._ended: queue.Queue[Result] = queue.Queue()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, spec: Mapping[str, Any], on_event: OnEvent) -> None:
        """Start a worker."""
        key = spec["stage"]["key"]
        store = Store(Path(spec["store"]))
        file = store.spec_file(key)
        file.write_text(json.dumps(spec))
        reading, writing = os.pipe()
        with store.log_file(key).open("ab") as log:
            worker = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "reidbench.stages", str(file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                env=_environment(spec["threads"], writing),
                start_new_session=True,  # Ctrl-C reaches the driver, which decides
            )
        os.close(writing)
        self._running[key] = worker
        threading.Thread(target=self._follow, args=(key, worker, reading, on_event, file), daemon=True).start()

    def _follow(self, key: str, worker: subprocess.Popen[bytes], reading: int, on_event: OnEvent, file: Path) -> None:
        """Pass a worker's events on until it ends, then say how it ended."""
        result: Result | None = None
        with os.fdopen(reading) as events:
            for line in events:
                event = json.loads(line)
                if event["event"] in ("done", "busy", "failed", "damaged"):
                    result = Result(key, event["event"], event.get("error", ""), event.get("traceback", ""))
                else:
                    on_event(key, event)
        code = worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()
        file.unlink(missing_ok=True)
        self._ended.put(result or Result(key, "failed", _death(code)))

    def wait(self) -> Iterable[Result]:
        """The next stage that ends, if one does within a moment."""
        try:
            result = self._ended.get(timeout=POLL)
        except queue.Empty:
            return []
        self._running.pop(result.key, None)
        return [result]

    def stop(self) -> None:
        """Kill all workers and what they started."""
        for worker in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        for worker in self._running.values():
            worker.wait()


def _environment(threads: int, events: int) -> dict[str, str]:
    """The driver's environment and import path, with the libraries' threads set before they start."""
    paths = [os.path.abspath(path or ".") for path in sys.path]  # noqa: PTH100 - import paths are text
    return {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONHASHSEED": "0",
        "REIDBENCH_EVENTS": str(events),
    }


def _death(code: int) -> str:
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with exit code {code} and said nothing"
