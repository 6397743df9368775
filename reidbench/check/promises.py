"""Whether a declaration is true.

A method is tried for one epoch on a task that lacks what it does not require; a data set is looked at.
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
    """Remarks on what is required and not needed. Raises Broken for what is needed and not required."""
    words = _words(world, kind, component)
    required = component.required(world.params_of(kind, component))
    unsaid = sorted(words - required)
    reason = _failure(world, kind, component, unsaid) if unsaid else ""
    if reason:
        alone = {word: _failure(world, kind, component, [word]) for word in unsaid} if len(unsaid) > 1 else {}
        guilty = [word for word in alone if alone[word]] or unsaid
        first = alone.get(guilty[0]) or reason
        what = " or ".join(LACK[word] for word in guilty)
        need(False, f"requires: it fails without {what} ({first}); declare requires={{{', '.join(map(repr, guilty))}}}")
    idle = [word for word in sorted(words & required) if _failure(world, kind, component, [word]) == ""]
    return [f"it also works without {LACK[word]}: requires need not say {word!r}" for word in idle]


def _words(world: World, kind: str, component: Component) -> set[str]:
    """What a task for this kind of component may lack, as far as the check's data can be without it."""
    if kind == "evaluator":
        return set()
    declared = component.protocol_with(world.params_of(kind, component)) & MORE_LABELS  # no other label is seen
    words = {"truth"} if world.truth else {"cameras", *declared}  # rendered persons always have cameras
    if kind == "adapter":
        source = next(images for images in OF_COMPONENT[kind].given if images.role == "source")
        given = source.goes_to(component, world.params_of(kind, component))
        words |= {"start", "source"} if given else {"start"}
    return words


def _failure(world: World, kind: str, component: Component, words: list[str]) -> str | None:
    """Why a component fails without these, "" where it gets through an epoch, None where it cannot be tried."""
    other = world.without(kind, component, frozenset(words))
    try:
        stage, expansion = other.plan(kind, component)
        other.make_parents(stage, expansion)
    except Exception:  # noqa: BLE001 - a component that it is built on fails, which is not its fault
        return None
    trial = Trial(other.inputs(stage, expansion), other.new_folder())
    trial.stop = True
    try:
        trial.watched()
    except Interrupted:
        return ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, it fails
        return describe(error)
    return ""


def keep_offer(component: Component, params: Params, root: Path | None, data: Dataset) -> list[str]:
    """Remarks on what a data set lacks and does not say so. Raises Broken where it says what is not so."""
    says, knows = "truth" in component.capabilities_with(params), data.truth is not None
    need(says or not knows, "offers: its Dataset.truth is given to nobody; declare capabilities={'truth'}")
    need(knows or not says, "offers: it has the capability 'truth', and its Dataset.truth is None")
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
    need(not wrong, f"offers: it says that it lacks {', '.join(wrong)}, and has them")
    unsaid = [word for word in there if not there[word] and word not in lacks]
    return [f"this one has no {', '.join(unsaid)}; where none of them has, declare lacks"] if unsaid else []
