"""The settings that all stages compute with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reidbench.stages import actions
from reidbench.stages.worker import seed_torch
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix


@pytest.mark.slow
def test_kernels_are_repeatable_and_the_compiler_is_not_imported() -> None:
    code = (
        "import sys, torch\n"
        "from reidbench.stages.worker import seed_torch\n"
        "before = set(sys.modules)\n"
        "seed_torch(3)\n"
        "assert torch.are_deterministic_algorithms_enabled()\n"
        "assert torch.is_deterministic_algorithms_warn_only_enabled()\n"
        "assert not torch.backends.cudnn.benchmark\n"
        "print([name for name in set(sys.modules) - before if name.startswith('torch')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_no_result_depends_on_what_new_memory_holds(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch can fill it with NaN, and with the largest whole number: one that is read would be in the weights."""
    filled: list[bool] = []
    before = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]

    def seed_and_fill(seed: int) -> None:
        seed_torch(seed)
        torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
        filled.append(bool(torch.empty(100).isnan().all()))

    text = matrix(
        methods="{bot: {finetune: {use: bot, epochs: 2, identities: 2, images: 2}}, "
        "bdb: {finetune: {use: bdb, epochs: 1, identities: 2, images: 2}}, "
        "mgn: {finetune: {use: mgn, epochs: 1, identities: 2, images: 2}}, "
        "cluster: {adapt: {use: cluster-contrast, rounds: 1, iterations: 2, identities: 2, images: 2, eps: 0.9}}}"
    ).read_text()
    found = []
    for name in ("as it is", "filled"):
        (tmp_path / name).mkdir()
        board = run_matrix(text, tmp_path / name)
        assert {result.status for result in board.results} == {"ok"}, [result.error for result in board.results]
        store = Store(tmp_path / name / "store")
        files = [store.path(key).glob("*") for key in sorted(store.keys())]
        found.append({(f.parent.name, f.name): f.read_bytes() for of in files for f in of if f.name != "manifest.json"})
        monkeypatch.setattr(actions, "seed_torch", seed_and_fill)
    assert len(filled) >= 4
    assert all(filled)
    assert found[0] == found[1]
    assert torch.utils.deterministic.fill_uninitialized_memory == before  # type: ignore[attr-defined]  # of this process
