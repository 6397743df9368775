"""How far the numbers of a row were checked, from the words of its protocol."""

from __future__ import annotations

from collections.abc import Iterable

from reidbench.store.manifests import CHECKED

HERE = "run here"  # the word for results of a store's own runs, which have none in their protocol


def checked(words: Iterable[str]) -> str:
    """The words that say so, such as "self-reported" or "re-scored (1 of 3)"; for results of own runs that they are."""
    return ", ".join(filter(is_check, words)) or HERE


def is_check(word: str) -> bool:
    """Whether a word of a protocol says how far a number was checked."""
    return word.partition(" (")[0] in CHECKED


def level(text: str) -> int:
    """How far that is, of what `checked` gave, more being better: the least of a row's results."""
    order = (*CHECKED, HERE)
    return min(order.index(word.partition(" (")[0]) for word in text.split(", "))
