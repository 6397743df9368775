"""Words and notes that a pack leaves out of what its data and pictures are."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from reidbench.execution import progress
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.packs.checks.verify import Asked, Verified, verify
from reidbench.packs.reading import Pack
from reidbench.packs.writing import write_pack
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from tests.support import forging
from tests.support.forging import Change, Files

MATRIX = """
image_size: [32, 16]
seeds: [0]
data: {{leaky: {{use: market-folder, root: "{root}"}}}}
tasks: {{leaky: {{source: leaky, target: leaky}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{bot: {{finetune: {{use: bot, epochs: 1, identities: 2, images: 2}}}}}}
"""


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> tuple[Path, Path]:
    """A data set that trains on one of its gallery pictures, and a pack of a method on it."""
    folder = tmp_path_factory.mktemp("leaky")
    root = write_market_folder(folder / "data")
    train = next(iter(sorted((root / "bounding_box_train").iterdir())))
    shutil.copyfile(next(iter(sorted((root / "bounding_box_test").iterdir()))), train)
    run_matrix(MATRIX.format(root=root), folder)
    the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
    write_pack(the_plan, Store(folder / "store"), folder / "sub.zip", features=True)
    return root, folder / "sub.zip"


def forged(leaky: tuple[Path, Path], registry: Registry, out: Path, change: Change) -> Verified:
    root, sound = leaky
    with Pack(forging.forge(sound, out / "forged.zip", change)) as pack:
        shown = progress.Lines(Console(file=io.StringIO()))
        return verify(pack, registry, Asked({"leaky": root}), shown)


def dropped(kind: str, field: str) -> Change:
    def change(files: Files) -> None:
        forging.edit_manifest(files, forging.key_of(files, kind), lambda one: one.pop(field))

    return change


def test_nothing_dropped_passes(leaky: tuple[Path, Path], registry: Registry, tmp_path: Path) -> None:
    found = forged(leaky, registry, tmp_path, lambda files: None)
    assert not found.findings.mismatches
    assert found.counts == {"re-scored": 1}


@pytest.mark.parametrize(
    ("kind", "field", "sentence"),
    [
        ("embed", "protocol", "the pack omits the words: "),
        ("embed", "notes", "the pack omits the note: trained on leaky"),
        ("data", "notes", "the pack omits the note: "),
    ],
)
def test_what_is_dropped_is_found(
    leaky: tuple[Path, Path], registry: Registry, tmp_path: Path, kind: str, field: str, sentence: str
) -> None:
    found = forged(leaky, registry, tmp_path, dropped(kind, field))
    assert any(sentence in line for line in found.findings.mismatches), found.findings.mismatches
    assert found.counts == {"self-reported": 1}
