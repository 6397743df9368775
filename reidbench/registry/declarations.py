"""Whether the words of a component's declaration are known; a misspelt one must not be silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from reidbench.components import BACKBONE_WORDS, DATA_LACKS, NEEDS, TRAITS, USES, Component
from reidbench.words import is_supervision

TRAINED = ("selector", "pretrainer", "finetuner", "adapter")  # kinds that are given a backbone


def refused_word(kind: str, component: Component) -> str:
    """The sentence about the first word that no component of this kind may say, or nothing.

    Words of backbones are left to `unknown_requirements`, for a plugin that is loaded later may bring them. What
    depends on the parameters is looked at with their defaults, where they all have one.
    """
    supervision = {word for word in _words(component, "uses")[0] if is_supervision(word)}
    known = {"uses": USES | supervision, "lacks": DATA_LACKS if kind == "dataset" else frozenset()}
    known |= {"provides": TRAITS[kind]} if kind in TRAITS else {}
    own = _words(component, "requires")[0] if kind in TRAINED else frozenset()  # which a backbone may provide
    known |= {"requires": NEEDS.get(kind, frozenset()) | own}
    for field, words in known.items():
        said, problem = _words(component, field)
        wrong = sorted(said - words)
        if problem or wrong:
            return problem or _sentence(field, wrong[0], words)
    if "source" in _words(component, "requires")[0] and "source-free" in _words(component, "provides")[0]:
        return "it requires 'source' and provides 'source-free', which is given none"
    return ""


def unknown_requirements(
    components: Mapping[tuple[str, str], Component], source: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """By plugin: a sentence about a required word that no loaded backbone provides and no task can lack."""
    networks = [component for (kind, _), component in components.items() if kind == "backbone"]
    offered = BACKBONE_WORDS.union(*(_words(network, "provides")[0] for network in networks))
    found: dict[str, str] = {}
    for (kind, name), component in components.items():
        if kind in TRAINED:
            known = offered | NEEDS[kind]
            wrong = sorted(_words(component, "requires")[0] - known)
            if wrong:
                found.setdefault(source[kind, name], f"{kind} {name}: {_sentence('requires', wrong[0], known)}")
    return found


def _words(component: Component, field: str) -> tuple[frozenset[str], str]:
    """What a field says, and a sentence where it is not a set of words."""
    said: Any = getattr(component, field)
    if callable(said):
        try:
            params = component.params()
        except ValidationError:  # a parameter has no default; what it makes of this is seen when it is given
            return frozenset(), ""
        said = said(params, None) if field == "lacks" else said(params)
    if isinstance(said, str) or not isinstance(said, Iterable) or not all(isinstance(word, str) for word in said):
        return frozenset(), f"{field} {said!r} must be a set of words, like frozenset({{'word'}})"
    return frozenset(said), ""


def _sentence(field: str, word: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{field} {word!r} is not a word that is known here{hint} (known: {', '.join(sorted(known)) or 'none'})"
