"""Forged packs are detected, and their unchanged rows pass."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.packs.entries import to_npy
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.store.manifests import sealed
from reidbench.testing import write_market_folder
from tests.support import forging
from tests.support.forging import Files

from .conftest import Checked, Submitted


def sentences(found: Any) -> str:
    return "\n".join(found.findings.mismatches)


def test_a_true_pack_passes(checked: Checked) -> None:
    found = checked()
    assert not found.findings.mismatches
    assert found.counts == {"re-scored": 3}
    assert not found.findings.notes


# ---------------------------------------------------------------------- forgeries
def higher_claim(files: Files) -> None:
    forging.edit_manifest(files, forging.key_of(files, "evaluate"), lambda one: one["metrics"].update(mAP=0.999))


def higher_everywhere(files: Files) -> None:
    key = forging.key_of(files, "evaluate", 1)
    forging.edit_manifest(files, key, lambda one: one["metrics"].update(mAP=0.999))
    forging.edit_rounded(files, key, mAP=0.999)


def higher_rounded(files: Files) -> None:
    forging.edit_rounded(files, forging.key_of(files, "evaluate", 1), mAP=0.999)


def better_queries(files: Files) -> None:
    key = forging.key_of(files, "evaluate", 1)
    name = f"results/{key}/per_query.npz"
    stream = io.BytesIO()
    with np.load(io.BytesIO(files[name])) as arrays:
        np.savez(stream, **{one: np.ones_like(arrays[one]) for one in arrays.files})
    files[name] = stream.getvalue()
    said = {"sha256": hashlib.sha256(files[name]).hexdigest(), "size": len(files[name])}
    forging.edit_manifest(files, key, lambda one: one["files"].update({"per_query.npz": said}))


def swapped_features(files: Files) -> None:
    first, second = (f"features/{forging.key_of(files, 'embed', place)}/query.npy" for place in (0, 1))
    files[first], files[second] = files[second], files[first]


def doubled_seed(files: Files) -> None:
    """One result under the keys of two seeds, with everything that goes with it."""
    for kind, names in (
        ("embed", ("features/{}/query.npy", "features/{}/gallery.npy")),
        ("evaluate", ("rounded/{}.json",)),
    ):
        first, second = (forging.key_of(files, kind, place) for place in (0, 1))
        for name in names:
            files[name.format(second)] = files[name.format(first)]
    one = json.loads(files[f"manifests/{first}.json"])
    for name in one["files"]:
        files[f"results/{second}/{name}"] = files[f"results/{first}/{name}"]
    forging.edit_manifest(files, second, lambda other: other.update(metrics=one["metrics"], files=one["files"]))


def fewer_features(files: Files) -> None:
    name = f"features/{forging.key_of(files, 'embed')}/query.npy"
    files[name] = to_npy(forging.with_array(files[name])[:-1])


def other_parents(files: Files) -> None:
    other = forging.key_of(files, "embed", 1)
    forging.edit_manifest(
        files, forging.key_of(files, "evaluate"), lambda one: one["stage"].update(parents=[["features.0", other]])
    )


def other_params(files: Files) -> None:
    """The evaluator without the camera rule, in the manifest and on the board, under the key of the one with it."""
    key = forging.key_of(files, "evaluate")

    def change(given: dict[str, Any]) -> None:
        (stage,) = (one for one in given["stages"] if one["key"] == key)
        given["values"].append({**given["values"][stage["params"]], "camera": "none"})
        stage["params"] = len(given["values"]) - 1

    forging.edit_board(files, change)
    forging.edit_manifest(files, key, lambda one: one["stage"]["params"].update(camera="none"))


def other_params_in_the_manifest(files: Files) -> None:
    key = forging.key_of(files, "evaluate")
    forging.edit_manifest(files, key, lambda one: one["stage"]["params"].update(camera="none"))


def made_up_key(files: Files) -> None:
    """A row with the key of a stage that nobody plans: its data are given another role."""
    key = forging.key_of(files, "embed")
    text = files["board.json"].decode().replace(key, "0" * 32)
    files["board.json"] = text.encode()
    for name in [name for name in files if key in name]:
        files[name.replace(key, "0" * 32)] = files.pop(name)
    forging.edit_manifest(files, "0" * 32, lambda one: one.update(key="0" * 32) or one["stage"].update(key="0" * 32))
    evaluation = forging.key_of(files, "evaluate")
    forging.edit_manifest(files, evaluation, lambda one: one["stage"].update(parents=[["features.0", "0" * 32]]))


def hidden_protocol(files: Files) -> None:
    forging.edit_board(files, lambda given: [row.update(protocol="") for row in given["rows"]])


def another_method(files: Files) -> None:
    def rename(given: dict[str, Any]) -> None:
        given["methods"][0]["name"] = "ours"
        for row in given["rows"]:
            row["method"] = "ours"

    forging.edit_board(files, rename)


def another_text(files: Files) -> None:
    forging.edit_board(files, lambda given: given.update(text=given["text"].replace("epochs: 1", "epochs: 9")))


def lower_is_better(files: Files) -> None:
    def change(given: dict[str, Any]) -> None:
        (cosine,) = (one for one in given["components"] if one["name"] == "cosine")
        cosine["metrics"][0]["better"] = "lower"

    forging.edit_board(files, change)


def other_counts(files: Files) -> None:
    forging.edit_manifest(files, forging.key_of(files, "data"), lambda one: one["metrics"].update(query_images=1))


def stray_manifest(files: Files) -> None:
    key = forging.key_of(files, "evaluate")
    manifest = json.loads(files[f"manifests/{key}.json"]) | {"key": "stray"}
    files["manifests/stray.json"] = sealed(manifest).encode()


FORGERIES = [
    (higher_claim, "does not follow from its features"),
    (higher_everywhere, "of its features is"),
    (higher_rounded, "of its features is"),
    (better_queries, "does not follow from its features"),
    (swapped_features, "of its features is|does not follow"),
    (doubled_seed, "one result is used for two seeds"),
    (fewer_features, "the pack has features of"),
    (other_parents, "the manifest and the board differ in parents"),
    (other_params, "its key does not match its contents"),
    (other_params_in_the_manifest, "the manifest and the board differ in params"),
    (made_up_key, "its key does not match its contents"),
    (hidden_protocol, "planned here with a different protocol"),
    (another_method, "the matrix file does not plan this result"),
    (another_text, "planned here with a different key"),
    (lower_is_better, "cosine: metrics on the board differ from the plugin installed here"),
    (other_counts, "the pack's counts do not match its data"),
    (stray_manifest, "which is not a stage of its board"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "sentence"), FORGERIES, ids=[change.__name__ for change, _ in FORGERIES])
def test_forgery_is_found(checked: Checked, change: forging.Change, sentence: str) -> None:
    found = checked(change)
    assert any(part in sentences(found) for part in sentence.split("|")), sentences(found)


@pytest.mark.slow
def test_what_passes_of_a_forged_pack_has_the_numbers_of_its_features(checked: Checked, tmp_path: Path) -> None:
    found = checked(higher_claim, store=tmp_path / "mine")
    assert found.counts == {"re-scored": 2, "self-reported": 1}
    published = Store(tmp_path / "mine")
    keys = published.keys()
    assert len(keys) == 2
    for key in keys:
        manifest = published.read(key).manifest
        assert manifest["checked"] == "re-scored"
        assert manifest["metrics"] == pytest.approx(manifest["claimed"], abs=1e-6)


def test_own_words_count_for_nothing(checked: Checked) -> None:
    def change(files: Files) -> None:
        forging.edit_manifest(files, forging.key_of(files, "evaluate"), lambda one: one.update(checked="re-trained"))

    found = checked(change)
    assert any("labels 1 of its results re-trained" in note for note in found.findings.notes)
    assert found.counts == {"re-scored": 3}


# ---------------------------------------------------------------------- what a verifier has
def test_other_data_are_found(checked: Checked, tmp_path: Path) -> None:
    other = write_market_folder(tmp_path / "other")
    next(iter((other / "query").iterdir())).unlink()
    found = checked(roots={"tiny": other})
    assert "your data differ from the pack's: query images" in sentences(found)
    assert found.counts == {"self-reported": 3}


def test_without_data_nothing_passes(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY", raising=False)
    found = checked(roots={})
    assert found.counts == {"self-reported": 3}
    assert any("--root tiny=PATH" in note for note in found.findings.notes)


def test_a_variable_names_the_data(checked: Checked, submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY", str(submitted.data))
    assert checked(roots={}).counts == {"re-scored": 3}


def test_methods_need_not_be_installed(checked: Checked, registry: Registry) -> None:
    few = dataclasses.replace(
        registry,
        components={key: one for key, one in registry.components.items() if key[0] in ("dataset", "evaluator")},
    )
    found = checked(None, few)
    assert found.counts == {"re-scored": 3}
    assert any("finetuner bot" in note and "not installed" in note for note in found.findings.notes)


def test_an_unknown_root_is_refused(checked: Checked, tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="--root other: the pack has no such data set"):
        checked(roots={"other": tmp_path})


def test_no_features_no_word(checked: Checked) -> None:
    def change(files: Files) -> None:
        for name in [name for name in files if name.startswith(("features/", "rounded/"))]:
            del files[name]

    found = checked(change)
    assert not found.findings.mismatches
    assert found.counts == {"self-reported": 3}


@pytest.mark.slow
def test_the_command(submitted: Submitted, tmp_path: Path) -> None:
    def run(pack: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "reidbench", "verify", str(pack), "--root", f"tiny={submitted.data}"]
        return subprocess.run([*command, "-o", str(tmp_path / "report.json")], capture_output=True, text=True)

    good = run(submitted.pack)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "results: 3 re-scored; mismatches: 0" in good.stdout
    assert [row["checked"] for row in json.loads((tmp_path / "report.json").read_text())["rows"]] == ["re-scored"] * 3
    assert run(forging.forge(submitted.pack, tmp_path / "forged.zip", higher_claim)).returncode == 1
    (tmp_path / "none.zip").write_bytes(b"none")
    unsound = run(tmp_path / "none.zip")
    assert unsound.returncode == 2
    assert "Traceback" not in unsound.stderr


def test_no_folder_is_read_because_a_pack_names_it(
    checked: Checked, submitted: Submitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matrix file has a plain path to real data of this machine: it is neither read nor planned with."""
    monkeypatch.delenv("TINY", raising=False)

    def names_it(files: Files) -> None:
        def change(board: dict[str, Any]) -> None:
            board["text"] = board["text"].replace("${TINY}", str(submitted.data))

        forging.edit_board(files, change)

    found = checked(names_it, roots={})
    assert "not planned again: name the folder (or the CSV file) of tiny with --root tiny=PATH" in found.findings.notes
    assert set(found.counts) == {"self-reported"}
