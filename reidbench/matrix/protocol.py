"""What a recipe used on a task, in words, for the protocol column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import SameContent
from reidbench.words import BACKBONE_FREE, FLIP

from .benchmark import Choice, DataSource, Recipe, Task, marker
from .kinds import OF_COMPONENT


def _takes(choice: Choice, role: str) -> bool:
    """Whether a component is given the images of a role."""
    images = (images for images in OF_COMPONENT[choice.kind].given if images.role == role)
    return any(given.goes_to(choice.component, choice.params) for given in images)


def _used(choice: Choice) -> set[str]:
    """What a choice and the components nested in it say that they use; labels of the target count for all."""
    words = set(choice.component.protocol_with(choice.params))
    for inner, mark in choice.nested.values():
        said = _used(inner) | {"target": {"target images"}, "pool": {"pool"}}.get(mark.role, set())
        if mark.role == "pool":  # rendered persons whose making is known tell nothing of the target
            said = {"truth of the pool" if word == "truth" else word for word in said}
        words |= said
        if mark.role == "target" and _takes(inner, "source"):  # fine-tuned with the labels of that role
            words |= {"target-labels"}
    return words


def _learns_source(choice: Choice, role: str = "source") -> bool:
    """Whether a component on the data of a role, or a training nested in it, is given labels of the source."""
    return (role == "source" and _takes(choice, "source")) or any(
        _learns_source(inner, mark.role) for inner, mark in choice.nested.values()
    )


def _target_is_source(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> bool:
    """Whether something adapts to the data set whose labels it, or a step before it, was trained on.

    Two names for the same files, read in the same way, are one data set.
    """
    adapted = [part for part in parts if any(kind == "adapt" for kind, _ in part.steps)]
    return any(_learns_source(choice) for part in adapted for _, choice in part.steps) and any(
        ref.name == task.target.name or _content(data[ref.name]) == _content(data[task.target.name])
        for ref in task.source
    )


def _content(source: DataSource) -> tuple[Any, ...]:
    """What makes a data set: how strictly its counts are checked, for one, does not."""
    choice = source.choice
    fields = type(choice.params).model_fields
    params = {name: value for name, value in choice.resolved.items() if not marker(fields[name], SameContent)}
    return choice.name, params, source.root.resolve() if source.root else None


def protocol_words(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> list[str]:
    """Which labels, images and knowledge a method used on a task, for the protocol column; `data` by name."""
    words: dict[str, None] = {}
    for part in parts:
        kinds = {kind for kind, _ in part.steps}
        pooled = any(kind == "pretrain" and _takes(choice, "pool") for kind, choice in part.steps)
        if task.source and any(_takes(choice, "source") for _, choice in part.steps):
            words["source labels"] = None
        if pooled and task.pool:
            words["pool"] = None
        if "adapt" in kinds:
            words["target images"] = None
            if task.adapt_on == "test":
                words["transductive"] = None
        if any(BACKBONE_FREE not in choice.component.traits_with(choice.params) for _, choice in part.steps):
            words |= dict.fromkeys(sorted(_used(part.backbone)))  # the labels behind the weights that it starts with
        for _, choice in part.steps:
            words |= dict.fromkeys(sorted(_used(choice)))
    if _target_is_source(parts, task, data):
        words["target is a source"] = None
    if len(parts) > 1:
        words[f"ensemble of {len(parts)}"] = None
    flipped = FLIP in words or any(part.flip_test for part in parts)  # by the method itself, or by the harness
    found = [word for word in words if word != FLIP] or ["no labels"]
    return [*found, FLIP] if flipped else found
