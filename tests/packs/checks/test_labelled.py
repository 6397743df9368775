"""Rows under rules of clothes, modality, tracklets and drawn galleries are scored again with the verifier's labels."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from reidbench.execution import progress
from reidbench.packs.checks.verify import Asked, Verified, verify
from reidbench.packs.reading import Pack
from reidbench.packs.writing import write_pack
from reidbench.registry.plugins import Registry
from tests.support import forging
from tests.support.forging import Files
from tests.support.labelled_line import DATA, write_labelled_line
from tests.support.lines import run_line

RULES = ("exclude: [same-clothes]", "cross: modality", "pool: mean", "shots: 1, repeats: 3")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The manifest of the data, and a pack of a row of features under each of the rules."""
    folder = tmp_path_factory.mktemp("line")
    write_labelled_line(folder)
    evaluators = ", ".join(f"{{use: euclidean, {params}}}" for params in RULES)
    plan, store = run_line(folder, f"[{evaluators}]", "near: {features: near.npz}", data=DATA)
    write_pack(plan, store, folder / "sub.zip", features=True)
    return folder / "line" / "list.csv", folder / "sub.zip"


def verified(pack: Path, manifest: Path, registry: Registry) -> Verified:
    with Pack(pack) as opened:
        return verify(opened, registry, Asked({"line": manifest}), progress.Lines(Console(file=io.StringIO())))


def test_each_row_is_scored_again(packed: tuple[Path, Path], registry: Registry) -> None:
    manifest, pack = packed
    found = verified(pack, manifest, registry)
    assert not found.findings.mismatches
    assert found.counts == {"re-scored": len(RULES)}


def test_numbers_that_the_features_do_not_give_are_found(
    packed: tuple[Path, Path], registry: Registry, tmp_path: Path
) -> None:
    manifest, pack = packed

    def higher(files: Files) -> None:
        forging.edit_manifest(files, forging.key_of(files, "evaluate"), lambda one: one["metrics"].update(mAP=0.99))

    found = verified(forging.forge(pack, tmp_path / "forged.zip", higher), manifest, registry)
    assert any("mAP 0.99" in line for line in found.findings.mismatches), found.findings.mismatches
    assert found.counts == {"re-scored": len(RULES) - 1, "self-reported": 1}


def test_other_clothes_are_other_data(packed: tuple[Path, Path], registry: Registry, tmp_path: Path) -> None:
    manifest, pack = packed
    own = shutil.copytree(manifest.parent, tmp_path / "line") / manifest.name
    rows = own.read_text().splitlines()
    own.write_text("\n".join([rows[0], *(row.replace(",visible,1", ",visible,") for row in rows[1:])]))
    found = verified(pack, own, registry)
    assert found.findings.mismatches
    assert found.counts == {"self-reported": len(RULES)}
