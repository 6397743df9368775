"""A run with jobs of this machine, and what is seen of it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

MATRIX = """
title: Jobs
image_size: [32, 16]
seeds: [0]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
"""
LIMIT = 300.0  # seconds that anything awaited here may take


class Bench:
    """A matrix of the toy plugin, run by the command with `--executor slurm --option cluster=local`."""

    def __init__(self, folder: Path, market: Path) -> None:
        self.folder = folder
        self.market = market
        self.file = folder / "matrix.yaml"

    def matrix(self, methods: str) -> Path:
        self.file.write_text(MATRIX.format(root=self.market, methods=methods))
        return self.file

    def start(self, store: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "reidbench", "run", str(self.file), "--store", str(store)]
        return subprocess.Popen(
            [*command, "--executor", "slurm", "--option", "cluster=local", *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def wait_for(what: Callable[[], Any], driver: subprocess.Popen[str] | None = None) -> Any:
        """Poll until there is something. Fails if the driver ends before."""
        until = time.monotonic() + LIMIT
        while not (found := what()):
            assert driver is None or driver.poll() is None, driver and driver.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        return found

    @staticmethod
    def claimed(store: Path) -> dict[str, int]:
        """The process of each stage that has been claimed and lives."""
        found = {}
        for file in (store / "claims").glob("[!.]*.json"):
            with contextlib.suppress(FileNotFoundError):
                found[file.stem] = int(json.loads(file.read_text())["pid"])
        return {key: pid for key, pid in found.items() if alive(pid)}

    def saved(self, store: Path) -> dict[str, int]:
        """Those that have a checkpoint."""
        return {
            key: pid for key, pid in self.claimed(store).items() if (store / "scratch" / key / "checkpoint").exists()
        }

    @staticmethod
    def jobs(store: Path) -> list[psutil.Process]:
        """The living processes that run submitit's code for a store: the jobs, and what starts each."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if any(word.startswith("submitit.") for word in words) and str(store) in " ".join(words):
                    found.append(process)
        return [process for process in found if alive(process.pid)]


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
    return False


@pytest.fixture
def bench(tmp_path: Path, market: Path, site: Path) -> Bench:
    pytest.importorskip("submitit")
    return Bench(tmp_path, market)
