"""Compare the components of a board with the plugins installed here: what decides a result, and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .findings import Findings

PAPER_TEXTS = ("title", "venue", "url", "code", "code_licence", "deviations")
Recorded = Mapping[str, Any]


def check_components(theirs: Iterable[Recorded], mine: Iterable[Recorded], findings: Findings) -> None:
    """Report components that both boards have and that differ.

    Another version, metric or published number is a mismatch. Other descriptions are a note: they change no result.
    """
    installed = {(one["kind"], one["name"]): one for one in mine}
    reworded = []
    for one in theirs:
        other = installed.get((one["kind"], one["name"]))
        if other is None:
            continue
        name = f"{one['kind']} {one['name']}"
        if wrong := _differing(_decisive(one), _decisive(other)):
            verb = "differs" if wrong == ["version"] else "differ"
            findings.mismatch(f"{name}: {', '.join(wrong)} on the board {verb} from the plugin installed here")
        if texts := _differing(_texts(one), _texts(other)):
            reworded.append(f"{name} ({', '.join(texts)})")
    if reworded:
        count = f"{len(reworded)} component{'' if len(reworded) == 1 else 's'}"
        findings.note(f"descriptions of {count} differ from the plugins installed here: {', '.join(reworded)}")


def without_notes(numbers: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Published numbers without the wording of their notes; whether a number has a note still counts."""
    return [{**number, "note": bool(number["note"])} for number in numbers]


def _decisive(component: Recorded) -> dict[str, Any]:
    """Everything but descriptions: a field that is added to boards later is decisive."""
    others = {name: value for name, value in component.items() if name not in ("summary", "paper")}
    return others | {"published numbers": without_notes(_published(component))}


def _texts(component: Recorded) -> dict[str, Any]:
    paper = component["paper"] or {}
    papers = {f"paper's {name.replace('_', ' ')}": paper.get(name) or None for name in PAPER_TEXTS}
    notes = [number["note"] for number in _published(component)]
    return {"summary": component["summary"], **papers, "notes on published numbers": notes}


def _published(component: Recorded) -> Sequence[Recorded]:
    return component["paper"]["published"] if component["paper"] else ()


def _differing(theirs: Recorded, mine: Recorded) -> list[str]:
    return [name for name in mine if mine[name] != theirs.get(name)]
