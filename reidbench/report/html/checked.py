"""Level of verification of a row, from the words of its protocol."""

from __future__ import annotations

from collections.abc import Iterable

from reidbench.store.manifests import CHECKED

HERE = "run here"  # for results of the store's own runs, which have no such word in their protocol


def checked(words: Iterable[str]) -> str:
    """Return words such as "self-reported" or "re-scored (1 of 3)", or `HERE` for results of own runs."""
    return ", ".join(filter(is_check, words)) or HERE


def is_check(word: str) -> bool:
    """Return whether a protocol word is a level of verification."""
    return word.partition(" (")[0] in CHECKED


def level(text: str) -> int:
    """Return the level of a text from `checked`, higher is better: the minimum over a row's results."""
    order = (*CHECKED, HERE)
    return min(order.index(word.partition(" (")[0]) for word in text.split(", "))
