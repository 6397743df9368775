"""A full disk and a read-only store: a reason or one sentence, never half an artifact, and all is well afterwards."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench.errors import StoreError
from reidbench.store.artifacts import Store

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.slow

SIZE = 8 << 20
NO_SPACE = ("No space left on device", "File too large")


def _mount(*words: object) -> bool:
    try:
        return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; skips where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place):
        pytest.skip("no file system may be mounted here; the test with a limit on file sizes runs everywhere")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path, free: int) -> Path:
    """Leave this number of bytes free, in whole blocks."""
    hog = disk / "hog"
    hog.touch()
    state = os.statvfs(disk)
    with hog.open("wb") as stream:
        stream.write(b"x" * max(state.f_bavail * state.f_frsize - free, 0))
    return hog


def reference(bench: Any) -> str:
    """The table of an unbroken run."""
    bench.matrix("{none: {finetune: none}, toy: {finetune: faulty}}")
    bench.run(bench.folder / "whole")
    table: str = bench.table(bench.folder / "whole")
    return table


def mended(bench: Any, watch: Any, store: Path, table: str) -> None:
    """After a disk is free again: what is there is whole, and a run ends as if nothing had been."""
    kept = watch.published(store)
    assert watch.whole(store) == len(kept)
    bench.run(store)
    assert bench.table(store) == table
    assert {key: watch.published(store)[key] for key in kept} == kept
    assert not list((store / "tmp").iterdir())


def full_in_this_process(bench: Any, watch: Any, disk: Path, free: int, table: str) -> str:
    """Run with this number of bytes free, then with all; returns how the first run ended."""
    store = disk / "store"
    hog = fill(disk, free)
    sentence = ""
    try:
        bench.run(store)
    except StoreError as error:
        sentence = str(error)
    if sentence:
        ending = "one sentence"
        reasons = {sentence}
    else:
        ending = "failed rows"
        reasons = {error for status, error in bench.rows(store).values() if status != "ok"}
    assert reasons
    assert all(any(words in reason for words in NO_SPACE) for reason in reasons), reasons
    hog.unlink()
    mended(bench, watch, store, table)
    shutil.rmtree(store)
    return ending


def test_a_full_disk_in_this_process(bench: Any, watch: Any, disk: Path, figure: Callable[[str], None]) -> None:
    table = reference(bench)
    endings = [full_in_this_process(bench, watch, disk, free, table) for free in (0, 60_000, 120_000)]
    figure(f"full disk, a sample on a tmpfs: {endings}; whole and identical once there is space")


@pytest.mark.long
def test_a_disk_that_is_full_at_any_point(bench: Any, watch: Any, disk: Path, figure: Callable[[str], None]) -> None:
    table = reference(bench)
    used = sum(file.stat().st_size for file in (bench.folder / "whole").rglob("*") if file.is_file())
    sizes = [used * part // 40 // 4096 * 4096 for part in range(40)]
    endings = [full_in_this_process(bench, watch, disk, free, table) for free in sizes]
    counts = {ending: endings.count(ending) for ending in sorted(set(endings))}
    figure(f"full disk: {len(sizes)} sizes of a tmpfs, {counts}; whole and identical once there is space")


@pytest.mark.long
@pytest.mark.parametrize("free", [0, 16_384, 65_536, 131_072])
def test_a_full_disk_under_workers(
    bench: Any, watch: Any, disk: Path, figure: Callable[[str], None], free: int
) -> None:
    table = reference(bench)
    hog = fill(disk, free)
    run = bench.start(disk / "store")
    said, error = run.communicate()
    assert "Traceback" not in error
    assert run.returncode in (1, 2)
    assert "No space left on device" in error + said
    hog.unlink()
    mended(bench, watch, disk / "store", table)
    figure(f"full disk under workers, {free} bytes free: exit {run.returncode}, then an identical table")


def test_files_that_may_not_grow(bench: Any, watch: Any, figure: Callable[[str], None]) -> None:
    """Without permission to mount, a limit on file sizes acts like a disk that takes small files only."""
    table = reference(bench)
    store = bench.folder / "store"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
    try:
        bench.run(store)
        rows = bench.rows(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {status for status, _ in rows.values()} == {"blocked"}
    assert all("File too large" in error for _, error in rows.values()), rows
    mended(bench, watch, store, table)
    figure("files that may not grow (RLIMIT_FSIZE): rows with the reason, then an identical table")


# ---------------------------------------------------------------------- read-only
@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Gives a place where a store is seen and cannot be written: mounted so for root, else by permission bits."""
    mounted, closed = [], []

    def make(store: Path) -> Path:
        if os.geteuid() != 0:
            closed.extend(folder for folder in [store, *store.rglob("*")] if folder.is_dir())
            for folder in closed:
                folder.chmod(0o555)
            return store
        place = tmp_path / "read-only"
        place.mkdir()
        if not _mount("--bind", store, place):
            pytest.skip("permission bits do not hold root, and nothing may be mounted here")
        mounted.append(place)
        assert _mount("-o", "remount,ro,bind", place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)
    for folder in closed:
        folder.chmod(0o755)


def test_a_read_only_store(
    bench: Any, watch: Any, read_only: Callable[[Path], Path], figure: Callable[[str], None]
) -> None:
    table = reference(bench)
    whole = bench.folder / "whole"
    bench.matrix("{none: {finetune: none}, toy: {finetune: faulty}, more: {finetune: {use: faulty, epochs: 1}}}")
    place = read_only(whole)
    before = watch.published(place)
    run = bench.start(place)
    said, error = run.communicate()
    assert (run.returncode, said) == (2, "")
    assert error.splitlines() in (
        [f"reidbench: {place}: the store cannot be written: Read-only file system"],
        [f"reidbench: {place}: the store cannot be written: Permission denied"],
    )
    table_of_both = bench.command("table", bench.file, "--store", place, "--format", "csv")
    shown, _ = table_of_both.communicate()
    assert table_of_both.returncode == 0
    assert set(table.splitlines()) <= set(shown.splitlines())
    assert "not run yet" in shown
    bench.matrix("{none: {finetune: none}, toy: {finetune: faulty}}")
    bench.run(place)  # nothing is missing, so nothing need be written
    assert bench.table(place) == table
    assert watch.published(place) == before
    figure("read-only store: one sentence and exit 2, table readable; a finished one runs to its table")


def test_a_damaged_result_in_a_read_only_store(bench: Any, read_only: Callable[[Path], Path]) -> None:
    reference(bench)
    whole = bench.folder / "whole"
    the_plan, _ = bench.plan()
    (whole / "objects" / the_plan.rows[0].key / "manifest.json").write_text("{")
    place = read_only(whole)
    with pytest.raises(StoreError, match="the store cannot be written"):
        bench.run(place)
    assert bench.rows(place)["none"] == ("missing", "its result is damaged; run again")
    assert Store(place).keys() == Store(whole).keys()
