"""A pack of a tiny matrix that was really run."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from reidbench.testing import run_matrix
from tests.support.forging import Change, forge

MATRIX = """
title: Verified
image_size: [32, 16]
seeds: [0, 1, 2]
data: {tiny: {use: market-folder, root: "${TINY}"}}
tasks: {tiny: {source: tiny, target: tiny}}
backbone: {use: resnet-tiny, width: 4}
methods: {bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}
"""


@dataclass(frozen=True)
class Submitted:
    """A pack, the store that it is of, and the folder of its data."""

    pack: Path
    store: Path
    data: Path


@pytest.fixture(scope="session")
def submitted(market: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """With features, of one method and three seeds. Read only."""
    folder = tmp_path_factory.mktemp("submitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY", str(market))
        run_matrix(MATRIX, folder)
        the_plan = plan.expand(reader.read(folder / "matrix.yaml", registry))
        write_pack(the_plan, Store(folder / "store"), folder / "sub.zip", features=True)
    return Submitted(folder / "sub.zip", folder / "store", market)


Checked = Callable[..., Verified]


@pytest.fixture
def checked(submitted: Submitted, registry: Registry, tmp_path: Path) -> Checked:
    """Verifies the pack after a change, by default with the verifier's own data; keyword arguments go to `Asked`."""

    def check(change: Change | None = None, the_registry: Registry = registry, **asked: Any) -> Verified:
        file = forge(submitted.pack, tmp_path / "forged.zip", change) if change else submitted.pack
        given = Asked(**{"roots": {"tiny": submitted.data}, **asked})
        with Pack(file) as pack:
            found = verify(pack, the_registry, given, progress.Lines(Console(file=io.StringIO())))
            found.report()  # reads of the pack what it shows
            return found

    return check
