"""A run holds what its plan needs until its table is printed: no `clean` takes away what is being shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.cli import main
from reidbench.store.artifacts import Store


def test_the_lock_is_there_while_the_table_is_written(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, seen = Store(tmp_path / "store"), []
    write = report.write

    def watched(board: Any, *words: Any) -> str:
        seen.append([store.is_needed(result.row.key or "") for result in board.results])
        return write(board, *words)

    monkeypatch.setattr(report, "write", watched)
    file = matrix(methods="{mine: {finetune: colour-histogram}}", seeds="[0]")
    monkeypatch.setattr(
        sys, "argv", ["reidbench", "run", str(file), "--store", str(store.root), "--executor", "inline"]
    )
    with pytest.raises(SystemExit) as end:
        main.main()
    assert end.value.code in (0, None)
    assert seen == [[True]]
    assert store.runs() == {}
