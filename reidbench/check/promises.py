"""Check that declarations are true.

A method runs for one epoch on a task without anything that it does not require; a data set is inspected.
"""

from __future__ import annotations

from pathlib import Path

from reidbench.components import Component, Params
from reidbench.data import UNKNOWN_CAMERA, Dataset
from reidbench.data.split import DISTRACTOR, JUNK
from reidbench.matrix.kinds import OF_COMPONENT
from reidbench.stages.worker import describe
from reidbench.words import MORE_LABELS

from .report import need
from .trial import Interrupted, Trial
from .world import World

LACK = {
    "source": "a source",
    "start": "a trained embedder to start from",
    "cameras": "cameras",
    "truth": "the truth about its images",
    **{word: f"{word} labels" for word in sorted(MORE_LABELS)},
}


def keep_promises(world: World, kind: str, component: Component) -> list[str]:
    """Return remarks on unneeded requirements. Raises Broken for an undeclared requirement."""
    words = _words(world, kind, component)
    required = component.required(world.params_of(kind, component))
    unsaid = sorted(words - required)
    reason = _failure(world, kind, component, unsaid) if unsaid else ""
    if reason:
        alone = {word: _failure(world, kind, component, [word]) for word in unsaid} if len(unsaid) > 1 else {}
        guilty = [word for word in alone if alone[word]] or unsaid
        first = alone.get(guilty[0]) or reason
        what = " or ".join(LACK[word] for word in guilty)
        need(False, f"requires: fails without {what} ({first}); declare requires={{{', '.join(map(repr, guilty))}}}")
    idle = [word for word in sorted(words & required) if _failure(world, kind, component, [word]) == ""]
    return [f"also works without {LACK[word]}: requires need not include {word!r}" for word in idle]


def _words(world: World, kind: str, component: Component) -> set[str]:
    """Return what a task for this kind of component may lack, as far as the check's data allow it."""
    if kind == "evaluator":
        return set()
    declared = (
        component.protocol_with(world.params_of(kind, component)) & MORE_LABELS
    )  # the component gets no other labels
    words = {"truth"} if world.truth else {"cameras", *declared}  # rendered persons always have cameras
    if kind == "adapter":
        source = next(images for images in OF_COMPONENT[kind].given if images.role == "source")
        given = source.goes_to(component, world.params_of(kind, component))
        words |= {"start", "source"} if given else {"start"}
    return words


def _failure(world: World, kind: str, component: Component, words: list[str]) -> str | None:
    """Return why a component fails without `words`, "" if an epoch succeeds, None if it cannot be run."""
    other = world.without(kind, component, frozenset(words))
    try:
        stage, expansion = other.plan(kind, component)
        other.make_parents(stage, expansion)
    except Exception:  # noqa: BLE001 - a component before it fails, which is not its fault
        return None
    trial = Trial(other.inputs(stage, expansion), other.new_folder())
    trial.stop = True
    try:
        trial.watched()
    except Interrupted:
        return ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any exception is a failure
        return describe(error)
    return ""


def keep_offer(component: Component, params: Params, root: Path | None, data: Dataset) -> list[str]:
    """Return remarks on undeclared gaps of a data set. Raises Broken for a false declaration."""
    says, knows = "truth" in component.capabilities_with(params), data.truth is not None
    need(says or not knows, "offers: its Dataset.truth is never used; declare capabilities={'truth'}")
    need(knows or not says, "offers: declares the capability 'truth', but its Dataset.truth is None")
    parts = data.parts()
    persons = {int(pid) for split in parts.values() for pid in split.pids} - {JUNK, DISTRACTOR}
    cameras = {int(camid) for split in parts.values() for camid in split.camids} - {UNKNOWN_CAMERA}
    there = {
        "cameras": len(cameras) > 1,
        "labels": bool(persons),
        "train": len(data.train) > 0,
        "test": "query" in parts,
    }
    lacks = component.lacked(params, root)
    unlabelled = data.unlabelled()
    wrong = [word for word in sorted(lacks) if there.get(word, word not in unlabelled)]
    need(not wrong, f"offers: declares that it lacks {', '.join(wrong)}, but has them")
    unsaid = [word for word in there if not there[word] and word not in lacks]
    return [f"the checked copy has no {', '.join(unsaid)}; if no copy has, declare lacks"] if unsaid else []
