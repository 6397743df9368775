"""Stores and packs become one: the table of one run, nothing overwritten, contradictions named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.packs.merging import Merged, merge, open_source
from reidbench.packs.reading import Pack
from reidbench.packs.writing import write_pack
from reidbench.registry.plugins import Registry
from reidbench.report.options import Options
from reidbench.report.output import table
from reidbench.store.artifacts import Store
from tests.packs.conftest import MATRIX, Ran, planned, run

FORMS = ("md", "csv", "json")


def tables(the_plan: Plan, store: Store) -> list[str]:
    return [table(the_plan, store, form, Options(), ["narrow"] if form == "md" else ()) for form in FORMS]


def half(the_plan: Plan, only: str) -> Plan:
    return the_plan.matching([only])


def joined(target: Path, *sources: Path, trusted: bool = False) -> tuple[Store, Merged]:
    store = Store(target)
    opened = [open_source(path, trusted=trusted) for path in sources]
    done = merge(opened, store)
    for source in opened:
        source.close()
    return store, done


@pytest.fixture(scope="module")
def halves(ran: Ran, tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> tuple[Path, Path]:
    """Two stores of two users, who have the data and the matrix file in different places; each has half of it."""
    stores = []
    for user, only in (("anna", "narrow"), ("ben", "wide")):
        home = tmp_path_factory.mktemp(user)
        (home / "data").symlink_to(ran.root)
        file = home / "matrix.yaml"
        file.write_text(MATRIX.format(root=home / "data"), encoding="utf-8")
        stores.append(home / "store")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            patch.setenv("REIDBENCH_CACHE", str(home / "cache"))
            run(half(planned(file, registry), only), Store(stores[-1]))
    return stores[0], stores[1]


def test_halves_of_two_users_give_the_table_of_one_run(ran: Ran, halves: tuple[Path, Path], tmp_path: Path) -> None:
    store, done = joined(tmp_path / "joined", *halves)
    assert not done.conflicts
    assert not done.left_out
    assert tables(ran.plan, store) == tables(ran.plan, ran.store)
    assert store.keys() == set(ran.plan.stages)
    for key in store.keys():  # noqa: SIM118 - of a store
        assert store.read(key)


def test_trusted_packs_of_the_halves_give_the_table_of_one_run(
    ran: Ran, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    packs = []
    for number, (folder, only) in enumerate(zip(halves, ("narrow", "wide"), strict=True)):
        packs.append(tmp_path / f"{number}.zip")
        write_pack(half(ran.plan, only), Store(folder), packs[-1])
    store, done = joined(tmp_path / "joined", *packs, trusted=True)
    assert not done.conflicts
    assert not done.left_out
    assert tables(ran.plan, store) == tables(ran.plan, ran.store)
    others, _ = joined(tmp_path / "others", *packs)
    board = report.collect(ran.plan, others)
    assert all(result.row.protocol.endswith("self-reported") for result in board.results)
    assert [result.metrics for result in board.results] == [
        result.metrics for result in report.collect(ran.plan, ran.store).results
    ]


def test_the_order_of_sources_and_a_second_merge_change_nothing(
    ran: Ran, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    one, _ = joined(tmp_path / "one", *halves)
    other, _ = joined(tmp_path / "other", *reversed(halves))
    assert {path.name for path in one.files("boards")} == {path.name for path in other.files("boards")}
    again, done = joined(tmp_path / "one", *halves, ran.store.root, ran.pack)
    assert (done.artifacts, done.records, done.conflicts, done.left_out) == (0, 0, [], [])
    assert tables(ran.plan, one) == tables(ran.plan, other) == tables(ran.plan, again)


def test_a_pack_leaves_manifests_alone_of_all_that_it_has_no_files_of(ran: Ran, tmp_path: Path) -> None:
    store, done = joined(tmp_path / "store", ran.pack)
    rows = {row.key for row in ran.plan.rows}
    assert (store.keys(), store.records()) == (rows, ran.plan.stages.keys() - rows)
    assert (done.artifacts, done.records) == (4, len(ran.plan.stages) - 4)
    assert not list(store.boards())  # an untrusted board is not history of this store
    trusted, _ = joined(tmp_path / "trusted", ran.pack, trusted=True)
    assert len(list(trusted.boards())) == 1


def copied(ran: Ran, folder: Path, key: str, **changes: object) -> Store:
    """A store with one artifact of the run, changed, made on another host."""
    store, there = Store(folder), ran.store.read(key)
    with store.publishing(key) as (out, manifest):
        for name in there.manifest["files"]:
            (out / name).write_bytes((there.path / name).read_bytes())
        manifest |= {**there.manifest, "host": "box7", "started": "2020-01-01T00:00:00Z", **changes}
    return store


def test_a_contradiction_is_named_and_nothing_is_overwritten(ran: Ran, tmp_path: Path) -> None:
    key = ran.plan.rows[0].key
    assert key
    metrics = {**ran.store.manifest(key).metrics, "mAP": 0.999}
    other = copied(ran, tmp_path / "other", key, metrics=metrics, notes=["a picture is missing"], protocol=["cheap"])
    store, done = joined(tmp_path / "joined", ran.store.root, other.root)
    (sentence,) = done.conflicts
    mine = ran.store.manifest(key)
    for words in (mine.label, key, f"mAP {mine.metrics['mAP']} and 0.999", "notes", "protocol", "box7", "2020-01-01"):
        assert words in sentence
    assert f"run on {mine.manifest['host']}" in sentence
    assert store.manifest(key).metrics == mine.metrics
    _, done = joined(tmp_path / "packed", other.root, ran.pack)
    (sentence,) = done.conflicts
    with Pack(ran.pack) as pack:
        assert f"results.zip ({pack.digest[:12]}) (host unknown" in sentence
    assert len(joined(tmp_path / "records", ran.pack, other.root)[1].conflicts) == 1


def test_times_hosts_and_versions_contradict_nothing(ran: Ran, tmp_path: Path) -> None:
    key = ran.plan.rows[0].key
    assert key
    other = copied(ran, tmp_path / "other", key, seconds=99.0, versions={"torch": "9"})
    assert not joined(tmp_path / "joined", ran.store.root, other.root)[1].conflicts


def test_other_bytes_of_a_file_contradict(ran: Ran, tmp_path: Path) -> None:
    key = next(key for key, stage in ran.plan.stages.items() if stage.kind == "embed")
    other = copied(ran, tmp_path / "other", key)
    file = other.path(key) / "features.npz"
    content = file.read_bytes() + b"x"
    discarded = Store(tmp_path / "changed")
    with discarded.publishing(key) as (folder, manifest):
        (folder / "features.npz").write_bytes(content)
        manifest |= other.manifest(key).manifest
    (sentence,) = joined(tmp_path / "joined", ran.store.root, discarded.root)[1].conflicts
    assert "different features.npz" in sentence
    store, done = joined(tmp_path / "records", ran.pack, discarded.root)  # the pack has the manifest alone
    assert len(done.conflicts) == 1
    assert (store.has(key), store.manifest(key).manifest["files"]) == (False, ran.store.manifest(key).manifest["files"])
    store, done = joined(tmp_path / "same", ran.pack, ran.store.root)
    assert (store.has(key), done.conflicts) == (True, [])


def test_tensors_whose_names_are_in_another_order_are_the_same(ran: Ran, tmp_path: Path) -> None:
    key = next(key for key, stage in ran.plan.stages.items() if stage.kind == "finetune")
    name = "embedder.safetensors"
    content = (ran.store.path(key) / name).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    turned = json.dumps(dict(reversed(header.items()))).encode()
    stores = []
    for number, tensors in enumerate((content[8 + length :], content[8 + length : -1] + b"\x7f")):
        stores.append(Store(tmp_path / f"{number}"))
        there = ran.store.read(key)
        with stores[-1].publishing(key) as (folder, manifest):
            (folder / "embedder.json").write_bytes((there.path / "embedder.json").read_bytes())
            (folder / name).write_bytes(len(turned).to_bytes(8, "little") + turned + tensors)
            manifest |= there.manifest
    assert not joined(tmp_path / "same", ran.store.root, stores[0].root)[1].conflicts
    (sentence,) = joined(tmp_path / "differ", ran.store.root, stores[1].root)[1].conflicts
    assert f"different {name}" in sentence


def test_a_damaged_artifact_is_left_out_by_name(ran: Ran, tmp_path: Path) -> None:
    key = ran.plan.rows[0].key
    assert key
    other = copied(ran, tmp_path / "other", key)
    (other.path(key) / "notes.json").write_text("{}")
    store, done = joined(tmp_path / "joined", other.root)
    assert not store.has(key)
    assert "the file differs from the published one" in done.left_out[0]


def test_reasons_of_failures_come_along_until_there_is_a_result(ran: Ran, tmp_path: Path) -> None:
    first, second = (row.key for row in ran.plan.rows[:2])
    assert first
    assert second
    other = copied(ran, tmp_path / "other", first)
    other.record_failure(second, "broken")
    store, _ = joined(tmp_path / "joined", other.root)
    assert (store.failure(second), store.died(second)) == ("broken", False)
    other.record_failure(second, "killed", died=True)
    store, _ = joined(tmp_path / "killed", other.root)
    assert (store.failure(second), store.died(second)) == ("killed", True)
    store, _ = joined(tmp_path / "joined", ran.store.root)
    assert store.failure(second) is None
    assert store.has(second)


@pytest.mark.parametrize("what", ["nothing", "folder", "text"])
def test_what_is_neither_a_store_nor_a_pack(tmp_path: Path, what: str) -> None:
    place = tmp_path / "x"
    if what == "folder":
        place.mkdir()
    elif what == "text":
        place.write_text("hello")
    with pytest.raises(ReidbenchError, match=r"not a results store|not a valid pack|cannot be read"):
        open_source(place, trusted=False)


# ---------------------------------------------------------------------- the commands
def reidbench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reidbench", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_pack_table_and_merge_as_commands(ran: Ran, tmp_path: Path) -> None:
    file, store, out = ran.plan.benchmark.file, ran.store.root, tmp_path / "sub.zip"
    done = reidbench("pack", file, "--store", store, "--only", "narrow", "--features", "-o", out)
    assert done.returncode == 0, done.stderr
    with Pack(out) as pack:
        assert f"digest: {pack.digest}\n2 results, 0 of them missing\n" in done.stdout
        assert str(out.stat().st_size) in done.stdout
        without_plugins = reidbench("table", out, "--format", "csv", "--without", "baseline")
        assert without_plugins.returncode == 0, without_plugins.stderr
        assert "self-reported" in without_plugins.stdout
        assert "wide" not in without_plugins.stdout
        merged = reidbench("merge", out, "--store", tmp_path / "joined")
        assert merged.returncode == 0, merged.stderr
        assert pack.digest in merged.stdout, merged.stderr
    key = ran.plan.rows[0].key
    assert key
    other = copied(ran, tmp_path / "other", key, notes=["other"])
    merged = reidbench("merge", other.root, "--store", tmp_path / "joined")
    assert merged.returncode == 1, merged.stderr
    assert "conflict: " in merged.stderr, merged.stderr


@pytest.mark.slow
def test_commands_refuse_in_a_sentence(ran: Ran, tmp_path: Path) -> None:
    file, store = ran.plan.benchmark.file, ran.store.root
    calls = (
        ("pack", file, "--store", store, "-o", file),
        ("pack", file, "--store", tmp_path / "none", "-o", tmp_path / "x.zip"),
        ("pack", file, "--store", store, "--only", "x", "-o", tmp_path / "x.zip"),
        ("table", ran.pack, "--store", store),
        ("table", ran.pack, "--set", "seeds=[0]"),
        ("merge", tmp_path / "none.zip", "--store", tmp_path / "y"),
    )
    for call in calls:
        done = reidbench(*call)
        assert done.returncode == 2, (call, done.stderr)
        assert done.stderr.startswith("reidbench: "), (call, done.stderr)
        assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "x.zip").exists()
    assert not (tmp_path / "y").exists()
