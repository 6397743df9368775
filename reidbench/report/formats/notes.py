"""Notes of stages; a sentence of several seeds or stages appears once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reidbench.report.results import Result

SEED = re.compile(r"(.*\[(?:[^\]]*, )?)seed (\d+)((?:, [^\]]*)?\].*)", re.DOTALL)  # in the brackets of a stage label
LABEL = re.compile(r"(data [^:]*|[^\]]*\[[^\]]*\]|[^:]*): (.*)", re.DOTALL)
NAMED = 3  # stages named with a sentence; others are counted


@dataclass(frozen=True)
class Note:
    """One sentence with its stages as text; `members` are the notes of results that it replaces."""

    text: str
    members: frozenset[str]


def notes(results: Sequence[Result]) -> list[Note]:
    """Return all notes of these results as "STAGE [..., seeds 0, 1]; STAGE: sentence", in matrix order."""
    found: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    for note in dict.fromkeys(note for result in results for note in result.notes):
        label, sentence = _parts(note)
        seed = SEED.fullmatch(label)
        stage, number = ((seed[1], seed[3]), seed[2]) if seed else ((label, ""), "")
        found.setdefault(sentence, {}).setdefault(stage, {})[number] = note
    return [
        Note(_joined(sentence, stages), frozenset(note for seeds in stages.values() for note in seeds.values()))
        for sentence, stages in found.items()
    ]


def _parts(note: str) -> tuple[str, str]:
    found = LABEL.fullmatch(note)
    return (found[1], found[2]) if found else ("", note)


def _joined(sentence: str, stages: dict[tuple[str, str], dict[str, str]]) -> str:
    labels = [_label(stage, list(seeds)) for stage, seeds in stages.items()]
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    said = "; ".join(filter(None, labels[:NAMED])) + more
    return f"{said}: {sentence}" if said else sentence


def _label(stage: tuple[str, str], seeds: list[str]) -> str:
    if seeds == [""]:
        return stage[0]
    return f"{stage[0]}seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}{stage[1]}"
