"""Every command on stores that no run wrote ends with a sentence: no traceback, no hang, nothing for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.testing import write_market_folder
from tests.fuzz.stores import Forger, tries


@pytest.fixture
def forger(matrix: Callable[..., Path], tmp_path: Path) -> Forger:
    other = matrix(methods="{other: {finetune: none}}", seeds="[7]").rename(tmp_path / "other.yaml")
    file = matrix(methods="{mine: {finetune: colour-histogram}}", seeds="[0, 1]")
    write_market_folder(tmp_path / "pictures")
    return Forger(tmp_path, file, other)


@pytest.mark.slow
def test_some_stores(forger: Forger, figure: Callable[[str], None]) -> None:
    assert tries(forger, 45, 1, figure) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_thousands_of_stores(seed: int, forger: Forger, figure: Callable[[str], None]) -> None:
    assert tries(forger, 600, seed, figure) == []
