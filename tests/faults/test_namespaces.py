"""Containers with one host name, a process table each and one store: a pid of the one says nothing in the other."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench.store import locks
from reidbench.store.artifacts import Store

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
AS_USER = [UNSHARE[0], "--user", "--map-root-user", *UNSHARE[1:]]

HOLD = """
import sys
from pathlib import Path
from reidbench.store.artifacts import Store
store = Store(Path(sys.argv[1]))
with store.claim("k") as mine, store.needing({"needed"}):
    print(mine, flush=True)
    sys.stdin.read()
"""

LOOK = """
import sys
from pathlib import Path
from reidbench.store.artifacts import Store
store = Store(Path(sys.argv[1]))
store.prepare()
with store.claim("k") as mine:
    print(mine, store.claimed("k"), store.is_needed("needed"), (store.root / "tmp" / "k-1-1").exists())
"""

# Python imports a module of this name at start: two minutes of silence are too long for a test.
IMPATIENT = """
from reidbench.store import artifacts, locks
locks.HEARTBEAT = artifacts.HEARTBEAT = 1.0
locks.DEAD_AFTER = 12.0
"""


@pytest.fixture
def apart() -> list[str]:
    """The words before a command that give it a separate process table."""
    for words in (UNSHARE, AS_USER):
        with contextlib.suppress(OSError):
            if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
                return words
    pytest.skip("unshare --pid is refused here")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@contextlib.contextmanager
def held(words: list[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the claim of k, started with these words before it."""
    child = subprocess.Popen(
        [*words, sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert child.stdout
    assert child.stdout.readline() == "True\n"
    try:
        yield child
    finally:
        child.kill()
        child.wait()  # `unshare` is dead, and its child with it, before the end of its input could make it clean up
        child.communicate()


def look(words: list[str], root: Path) -> str:
    """Another process's view of the claim of k, of a run's lock and of a folder that is being written."""
    command = [*words, sys.executable, "-c", LOOK, str(root)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=True).stdout.strip()


@pytest.mark.parametrize(("owner", "other"), [("inside", "outside"), ("outside", "inside"), ("inside", "inside")])
def test_a_living_owner_in_another_process_table_keeps_what_it_has(
    tmp_path: Path, apart: list[str], owner: str, other: str
) -> None:
    words = {"inside": apart, "outside": []}
    with held(words[owner], tmp_path):
        (tmp_path / "tmp").mkdir()
        (tmp_path / "tmp" / "k-1-1").mkdir()
        assert look(words[other], tmp_path) == "False True True True"


def test_who_died_in_another_process_table_loses_its_claim_when_silent(
    tmp_path: Path, apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.4)
    store = Store(tmp_path)
    with held(apart, tmp_path):
        pass
    assert store.claimed("k")
    assert store.is_needed("needed")
    time.sleep(0.6)
    assert not store.claimed("k")
    assert not store.is_needed("needed")


def test_a_proc_of_another_process_table_is_not_believed(tmp_path: Path, apart: list[str]) -> None:
    """Without --mount-proc, /proc shows processes whose pids are not those of this namespace."""
    code = "from reidbench.store import locks; print(locks.process_table())"
    words = [word for word in apart if word != "--mount-proc"]
    done = subprocess.run([*words, sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.stdout == "None\n", done.stderr
    assert str(locks.process_table()).endswith(str(Path("/proc/self/ns/pid").readlink()))


@pytest.mark.slow
@pytest.mark.parametrize("stops", [1, pytest.param(50, marks=pytest.mark.long)])
def test_two_containers_share_a_store(
    bench: Any, watch: Any, apart: list[str], figure: Callable[[str], None], stops: int
) -> None:
    """Drivers are killed with all their processes at random moments and started again; each stage is made once."""
    seeds = [0] if stops == 1 else [0, 1, 2]
    bench.matrix("{toy: {finetune: {use: faulty, epochs: 4, seconds: 0.3}}}", seeds=str(seeds))
    bench.run(bench.folder / "whole")
    bench.epochs()
    (bench.folder / "site" / "sitecustomize.py").write_text(IMPATIENT)
    draw = random.Random(stops)
    left, rounds, begun, killed = stops, 0, 0, 0
    while left:
        store = bench.folder / f"store-{rounds}"
        rounds += 1
        drivers = [start(bench, apart, store) for _ in range(2)]
        kept: dict[str, tuple[int, int]] = {}
        while left and all(driver.poll() is None for driver in drivers):
            time.sleep(draw.uniform(2, 9))
            number = draw.randrange(2)
            if drivers[number].poll() is not None:
                break
            drivers[number].kill()
            drivers[number].communicate()
            drivers[number] = start(bench, apart, store)
            left, killed = left - 1, killed + 1
            assert {key: watch.published(store)[key] for key in kept} == kept
            kept = watch.published(store)
        said = [driver.communicate() for driver in drivers]
        assert [driver.returncode for driver in drivers] == [0, 0], said
        assert {key: watch.published(store)[key] for key in kept} == kept
        assert bench.table(store) == bench.table(bench.folder / "whole")
        epochs = Counter(bench.epochs())
        assert set(epochs) == {f"{seed} {epoch}" for seed in seeds for epoch in range(4)}
        begun += sum(epochs.values()) - len(epochs)
    assert begun <= killed  # a kill breaks off one epoch at most
    figure(f"two process tables, {killed} kills in {rounds} rounds: {begun} epochs begun twice, identical tables")


def start(bench: Any, words: list[str], store: Path) -> subprocess.Popen[str]:
    """`reidbench run` in a separate process table."""
    command = [*words, sys.executable, "-m", "reidbench", "run", str(bench.file), "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
