"""Artifacts are visible only when whole, verified when read, and claimed by one living owner."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reidbench.errors import StoreError
from reidbench.store import artifacts as store_module
from reidbench.store import locks
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store, process_start


def publish(store: Store, key: str, text: str = "content") -> None:
    with store.publishing(key) as (folder, manifest):
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text(text)
        manifest["metrics"] = {"mAP": 0.5}


def test_publish_and_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has("k")
    assert store.keys() == set()
    publish(store, "k")
    artifact = store.read("k")
    assert artifact.metrics == {"mAP": 0.5}
    assert (artifact.path / "deep" / "file").read_text() == "content"
    assert list(artifact.manifest["files"]) == ["deep/file"]
    assert store.keys() == {"k"}
    assert not list((tmp_path / "tmp").iterdir())


def test_absent_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Store(tmp_path).read("k")


def test_nothing_is_visible_when_the_block_fails(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.publishing("k") as (folder, _):
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not store.has("k")
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("file", ["deep/file", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_every_damage_is_noticed_and_set_aside(tmp_path: Path, file: str, damage: str) -> None:
    store = Store(tmp_path)
    publish(store, "k", "x" * 100)
    path = store.path("k") / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "flip":
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    with pytest.raises(DamagedArtifact) as caught:
        store.read("k")
    assert caught.value.key == "k"
    aside = store.set_aside("k")
    assert aside.is_dir()
    assert not store.has("k")
    publish(store, "k")
    assert store.read("k").metrics == {"mAP": 0.5}


def test_every_single_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "k")
    path = store.path("k") / "manifest.json"
    good = path.read_bytes()
    unnoticed = []
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 2
        path.write_bytes(bad)
        try:
            store.read("k")
        except DamagedArtifact:
            continue
        # Blanks between JSON tokens may change into other blanks; the values are what is signed.
        if json.loads(bad) != json.loads(good):
            unnoticed.append(position)
    assert unnoticed == []


def _publish_many(root: str, number: int) -> None:
    for index in range(20):
        publish(Store(Path(root)), f"k{index}", f"content {index}")


NAMES = ("metrics", "versions", "notes")


@pytest.mark.parametrize("form", ["as written", "on one line"])
def test_facts_are_the_fields_of_the_manifest(tmp_path: Path, form: str) -> None:
    """Of a text as stages write it, which is not decoded as a whole, and of a different form of the same JSON."""
    store = Store(tmp_path)
    with store.publishing("k") as (_, manifest):
        manifest |= {"metrics": {"mAP": 0.5}, "versions": {"numpy": "2"}, "seconds": 1.5}
    file = store.path("k") / "manifest.json"
    if form == "on one line":
        file.write_text(json.dumps(json.loads(file.read_text())))
    artifact, found = store.with_facts("k", NAMES)
    assert artifact.manifest == store.manifest("k").manifest
    for given in (found, store.facts("k", NAMES)):
        assert {name: given[name] for name in NAMES if name in given} == {
            "metrics": {"mAP": 0.5},
            "versions": {"numpy": "2"},
        }


@pytest.mark.parametrize("line", [' "words without a value",', ' "more": 1,'])
def test_facts_of_a_manifest_with_another_line_are_refused(tmp_path: Path, line: str) -> None:
    store = Store(tmp_path)
    publish(store, "k")
    file = store.path("k") / "manifest.json"
    first, _, rest = file.read_text().partition("\n")
    file.write_text(f"{first}\n{line}\n{rest}")
    for read in (store.facts, store.with_facts):
        with pytest.raises(DamagedArtifact):
            read("k", NAMES)


def test_a_field_that_comes_twice_has_the_value_that_was_sealed(tmp_path: Path) -> None:
    """JSON parsers ignore the first of the two, and no reader may use it."""
    store = Store(tmp_path)
    publish(store, "k")
    file = store.path("k") / "manifest.json"
    first, _, rest = file.read_text().partition("\n")
    file.write_text(f'{first}\n "metrics": {{"mAP": 1.0}},\n{rest}')
    assert store.facts("k", NAMES)["metrics"] == {"mAP": 0.5}
    assert store.with_facts("k", NAMES)[1]["metrics"] == {"mAP": 0.5}


@pytest.mark.slow
def test_eight_writers_of_equal_keys_leave_whole_artifacts(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_publish_many, args=(str(tmp_path), number)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    store = Store(tmp_path)
    assert store.keys() == {f"k{index}" for index in range(20)}
    for index in range(20):
        assert (store.read(f"k{index}").path / "deep" / "file").read_text() == f"content {index}"


def test_a_claim_keeps_others_off_until_it_ends(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.claim("k") as mine:
        assert mine
        with store.claim("k") as second:
            assert not second
        with store.claim("other") as other:
            assert other
    with store.claim("k") as again:
        assert again


def test_a_dead_owner_on_this_host_loses_its_claim_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from reidbench.store.artifacts import Store\n"
        "with Store(Path(sys.argv[1])).claim('k'): print('held', flush=True); os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.stdout == "held\n"
    assert (tmp_path / "claims" / "k.json").exists()
    with Store(tmp_path).claim("k") as mine:
        assert mine


def test_a_reused_pid_is_not_the_owner(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.claim("k"):
        pass
    owner = {**locks.identity(), "start": "1"}
    (tmp_path / "claims" / "k.json").write_text(json.dumps(owner))
    with store.claim("k") as mine:
        assert mine


OTHERS = {
    "host": {"host": "elsewhere"},
    "boot": {"processes": "another-boot pid:[1]"},
    "unknown": {"processes": None},
}


@pytest.mark.parametrize("other", OTHERS)
def test_other_processes_keep_their_claim_while_their_heart_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Their pid says nothing here, even where the host has the same name."""
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.3)
    store = Store(tmp_path)
    with store.claim("other"):
        pass
    file = tmp_path / "claims" / "k.json"
    owner = {**locks.identity(), "pid": 999999999, "start": "1", **OTHERS[other]}
    file.write_text(json.dumps(owner))
    for beat in range(5):
        os.utime(file, (beat, beat))
        with store.claim("k") as mine:
            assert not mine
        time.sleep(0.1)
    time.sleep(0.4)
    with store.claim("k") as mine:
        assert mine


@pytest.mark.parametrize("pid", [0, -1, 2**40, 1.5, "1", None, True])
def test_a_claim_of_a_pid_that_cannot_be_is_of_nobody(tmp_path: Path, pid: object) -> None:
    store = Store(tmp_path)
    with store.claim("other"):
        pass
    (tmp_path / "claims" / "k.json").write_text(json.dumps({**locks.identity(), "pid": pid}))
    with store.claim("k") as mine:
        assert mine


def test_a_dead_owners_claim_is_taken_away_for_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker watches from its start: it would wait for a claim again that its driver has seen die."""
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.1)
    store = Store(tmp_path)
    store.prepare()
    file = tmp_path / "claims" / "k.json"
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    assert store.claimed("k")
    time.sleep(0.2)
    assert not store.claimed("k")
    assert not file.exists()
    with Store(tmp_path).claim("k") as mine:
        assert mine


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HEARTBEAT", 0.01)
    store = Store(tmp_path)
    with store.claim("k"):
        file = tmp_path / "claims" / "k.json"
        os.utime(file, (1, 1))
        deadline = time.monotonic() + 10
        while file.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert file.stat().st_mtime > 2


def test_process_start_tells_the_living_from_the_dead() -> None:
    assert process_start(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_start(child.pid) is None


def test_failures_are_kept_until_a_success(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.failure("k") is None
    store.record_failure("k", "why", "trace")
    assert (store.failure("k"), store.died("k")) == ("why", False)
    store.record_failure("k", "killed", died=True)
    assert (store.failure("k"), store.died("k")) == ("killed", True)
    publish(store, "k")
    assert store.failure("k") is None


def test_scratch_outlives_a_failure_and_goes_with_success(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.scratch("k") / "checkpoint").write_text("epoch 3")
    with pytest.raises(RuntimeError), store.publishing("k"):
        raise RuntimeError
    assert (store.scratch("k") / "checkpoint").read_text() == "epoch 3"
    publish(store, "k")
    assert not (tmp_path / "scratch" / "k").exists()


def test_temporary_folders_of_the_dead_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = tmp_path / "tmp" / f"k-{child.pid}-1"
    alive = tmp_path / "tmp" / f"k-{os.getpid()}-1"
    dead.mkdir(parents=True)
    alive.mkdir()
    Store(tmp_path).prepare()
    assert not dead.exists()
    assert alive.exists()


def test_a_living_writer_on_another_host_keeps_its_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a shared store its pid says nothing here; its claim's heartbeat does."""
    store = Store(tmp_path)
    store.prepare()
    folder = tmp_path / "tmp" / "k-999999999-1"
    folder.mkdir()
    claim = tmp_path / "claims" / "k.json"
    claim.parent.mkdir(exist_ok=True)
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 999999999, "start": "1"}))
    store.prepare()
    assert folder.is_dir()
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.1)
    time.sleep(0.2)
    store.prepare()
    assert not folder.exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="the store cannot be written"),
        Store(tmp_path / "file" / "store").publishing("k"),
    ):
        pytest.fail("unreachable")
