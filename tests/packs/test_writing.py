"""Packs have the same bytes wherever and whenever they are written, give back what was packed, and name no place."""

from __future__ import annotations

import io
import socket
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.packs.reading import Pack
from reidbench.packs.recorded import recorded_plan
from reidbench.packs.rescoring import evaluate_again
from reidbench.packs.writing import write_pack
from reidbench.store.artifacts import Store
from tests.packs.conftest import Ran


def test_a_pack_gives_back_manifests_results_and_rounded_features(ran: Ran) -> None:
    rows = {row.key for row in ran.plan.rows}
    with Pack(ran.pack) as pack:
        assert set(pack.manifests) == set(ran.plan.stages)
        for key, stage in ran.plan.stages.items():
            there = ran.store.read(key)
            assert pack.manifests[key]["metrics"] == there.metrics
            files = {name: (there.path / name).read_bytes() for name in there.manifest["files"]}
            assert pack.results(key) == (files if key in rows else {})
            if stage.kind == "embed":
                given = np.load(io.BytesIO(files["features.npz"]))
                found = pack.features(key)
                assert found is not None
                for array, name in zip(found, ("query_features", "gallery_features"), strict=True):
                    assert array.dtype == np.float16
                    np.testing.assert_allclose(array, given[name], rtol=2**-11, atol=2**-24)
        (digest,) = pack.environments
        assert pack.environments[digest] == ran.store.environment(digest)
        assert pack.text == pack.board["text"]


def test_long_lists_of_files_that_are_not_packed_are_left_out(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of evaluations stay: their files are in the pack."""
    rows = {row.key for row in ran.plan.rows}
    counts = {key: len(ran.store.read(key).manifest["files"]) for key in ran.plan.stages}
    most = min(counts.values())
    assert most < max(counts[key] for key in counts if key not in rows)
    monkeypatch.setattr("reidbench.packs.writing.MOST_LISTED", most)
    written = write_pack(ran.plan, ran.store, tmp_path / "p.zip")
    many = [key for key, count in counts.items() if key not in rows and count > most]
    assert sorted(written.left_out) == sorted(
        f"{ran.plan.stages[key].label}: the checksums of its {counts[key]} files" for key in many
    )
    with Pack(tmp_path / "p.zip") as pack:
        for key, count in counts.items():
            listed = pack.manifests[key]["files"]
            assert len(listed) == (count if key in rows or count <= most else 0)
            assert pack.manifests[key]["metrics"] == ran.store.read(key).metrics
        assert all(pack.results(key) for key in rows)


def test_rounded_numbers_are_those_of_the_features_in_the_pack(ran: Ran) -> None:
    with Pack(ran.pack) as pack:
        for row in ran.plan.rows:
            assert row.key is not None
            ((_, parent),) = ran.plan.stages[row.key].parents
            columns = dict(np.load(ran.store.path(parent) / "features.npz"))
            features = pack.features(parent)
            assert features is not None
            columns["query_features"], columns["gallery_features"] = (one.astype(np.float32) for one in features)
            again = evaluate_again(pack.manifests[row.key], {parent: columns})
            assert pack.rounded(row.key) == again.means
            np.testing.assert_allclose(again.means["per_query ap"], again.metrics["mAP"], atol=1e-9)


def test_the_same_bytes_from_another_folder_user_host_and_time(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": str(tmp_path / "elsewhere"), "USER": "someone", "HOSTNAME": "another"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.chdir(tmp_path)
    write_pack(ran.plan, ran.store, tmp_path / "again.zip", features=True)
    assert (tmp_path / "again.zip").read_bytes() == ran.pack.read_bytes()


def test_no_byte_of_a_pack_names_a_place_a_user_or_a_host(
    ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": str(tmp_path), "USER": "jane-miller"}.items():
        monkeypatch.setenv(name, value)
    hosts = {str(ran.store.manifest(key).manifest["host"]) for key in ran.plan.stages}
    store = Store(tmp_path / "copy")
    for key in ran.plan.stages:  # notes and failures name places too
        there = ran.store.read(key)
        with store.publishing(key) as (folder, manifest):
            for name in there.manifest["files"]:
                (folder / name).write_bytes((there.path / name).read_bytes())
            manifest |= there.manifest
            manifest |= {"host": "box7", "notes": [f"{ran.root}/query/0001.jpg: left out", "/home/jane-miller/x"]}
            if manifest["stage"]["kind"] == "evaluate":
                (folder / "notes.json").write_text(f'{{"file": "{ran.root}/x.jpg"}}')
    written = write_pack(ran.plan, store, tmp_path / "pack.zip", features=True)
    content = (tmp_path / "pack.zip").read_bytes()
    places = [str(ran.root), "Jürgen", "J\\u00fcrgen", str(tmp_path), str(ran.store.root), str(ran.plan.benchmark.file)]
    for word in (*places, "jane-miller", "box7", *(host for host in hosts if len(host) > 3), socket.gethostname() * 2):
        assert word.encode() not in content, word
    assert not written.left_out
    with Pack(tmp_path / "pack.zip") as pack:
        for key in pack.manifests:
            assert pack.manifests[key]["notes"] == ["<root of m>/query/0001.jpg: left out", "x"]
            pack.results(key)  # raises where a redacted file is not the one that its manifest names
    with_host = write_pack(ran.plan, store, tmp_path / "host.zip", with_host=True)
    assert b"box7" in (tmp_path / "host.zip").read_bytes()
    assert with_host.digest != written.digest


def test_a_parameter_that_a_component_got_later_is_no_contradiction(ran: Ran, tmp_path: Path) -> None:
    """A neutral value is not part of the key: the current plan has it, the manifest lacks it."""
    key = next(key for key, stage in ran.plan.stages.items() if stage.kind == "evaluate")
    stage = ran.plan.stages[key]
    for params, expected in (({"later": 1}, stage.params), ({next(iter(stage.params)): "other"}, None)):
        changed = replace(stage, params={**stage.params, **params})
        write_pack(replace(ran.plan, stages={**ran.plan.stages, key: changed}), ran.store, tmp_path / "a.zip")
        with Pack(tmp_path / "a.zip") as pack:
            found = recorded_plan(pack.board).stages[key].params
            assert found == (changed.params if expected is None else expected)
            assert pack.manifests[key]["stage"]["params"] == stage.params


def test_a_name_that_cannot_be_taken_out_is_refused(ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "narrow")  # the name of a method
    with pytest.raises(ReidbenchError, match="the name 'narrow' of a user or host"):
        write_pack(ran.plan, ran.store, tmp_path / "pack.zip")
    assert not (tmp_path / "pack.zip").exists()


def test_failed_and_missing_rows_go_in_with_their_reasons(ran: Ran, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first, second, third, _ = (row.key for row in ran.plan.rows)
    assert first
    assert second
    assert third
    with store.publishing(first) as (_, manifest):
        manifest |= ran.store.manifest(first).manifest
    store.record_failure(second, f"{ran.root}/a.jpg: broken")
    written = write_pack(ran.plan, store, tmp_path / "pack.zip")
    assert [row.key for row in written.missing] == [row.key for row in ran.plan.rows[1:]]
    with Pack(tmp_path / "pack.zip") as pack:
        assert pack.failures == {second: "<root of m>/a.jpg: broken"}
        assert list(pack.manifests) == [first]


def test_an_empty_store_gives_no_pack(ran: Ran, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="has none of the plan's 4 results"):
        write_pack(ran.plan, Store(tmp_path), tmp_path / "pack.zip")


def test_features_that_half_precision_cannot_hold_are_left_out_by_name(ran: Ran, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for key, stage in ran.plan.stages.items():
        there = ran.store.read(key)
        with store.publishing(key) as (folder, manifest):
            manifest |= there.manifest
            for name in there.manifest["files"]:
                (folder / name).write_bytes((there.path / name).read_bytes())
            if stage.kind == "embed" and "narrow" in stage.label:
                columns = dict(np.load(there.path / "features.npz"))
                columns["query_features"] = columns["query_features"] * 1e9
                np.savez(folder / "features.npz", **columns)
    written = write_pack(ran.plan, store, tmp_path / "pack.zip", features=True)
    assert (written.evaluations, written.features) == (4, 2)
    assert all("narrow" in sentence and "half precision" in sentence for sentence in written.left_out)


def test_ordinary_programs_read_a_pack(ran: Ran) -> None:
    with zipfile.ZipFile(ran.pack) as archive, Pack(ran.pack) as pack:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        assert archive.read("matrix.yaml").decode() == pack.text
        infos = archive.infolist()
        assert {(one.date_time, one.compress_type, one.external_attr >> 16) for one in infos} == {
            ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 0o100644)
        }
