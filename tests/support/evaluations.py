"""An evaluator without the harness: features in arrays, and its notes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from reidbench import Embedded


def evaluation(params: Any, query: Embedded, gallery: Embedded) -> Any:
    """A context; `notes` is the list of its notes."""
    notes: list[str] = []
    return SimpleNamespace(params=params, query=query, gallery=gallery, note=notes.append, notes=notes)
