"""What a recipe used on a task, in words, for the protocol column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import SameContent

from .benchmark import Choice, DataSource, Recipe, Task, marker

LABEL_FREE = "label-free"  # a fine-tuner with this trait trains on nothing and needs no source
SOURCE_FREE = "source-free"  # an adapter with this trait is given no source images
BACKBONE_FREE = "backbone-free"  # a fine-tuner with this trait computes features without the backbone
POOL_FREE = "pool-free"  # a pretrainer with this trait reads weights from elsewhere and needs no pool


def _takes_source(kind: str, choice: Choice) -> bool:
    """Whether a step is given the labelled source."""
    free = {"finetune": LABEL_FREE, "adapt": SOURCE_FREE}.get(kind)
    return free is not None and free not in choice.component.traits_with(choice.params)


def _used(choice: Choice) -> set[str]:
    """What a choice and the components nested in it say that they use; labels of the target count for all."""
    words = set(choice.component.protocol_with(choice.params))
    for inner, mark in choice.nested.values():
        said = _used(inner) | {"target": {"target images"}, "pool": {"pool"}}.get(mark.role, set())
        if mark.role == "pool":  # rendered persons whose making is known tell nothing of the target
            said = {"truth of the pool" if word == "truth" else word for word in said}
        words |= said
        if inner.kind == "finetuner" and LABEL_FREE not in inner.component.traits_with(inner.params):
            words |= {"target-labels"} if mark.role == "target" else set()
    return words


def _learns_source(kind: str, choice: Choice) -> bool:
    """Whether a step, or a training nested in it, is given labels of the source."""
    return _takes_source(kind, choice) or any(
        _learns_source("finetune" if inner.kind == "finetuner" and mark.role == "source" else "", inner)
        for inner, mark in choice.nested.values()
    )


def _target_is_source(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> bool:
    """Whether something adapts to the data set whose labels it, or a step before it, was trained on.

    Two names for the same files, read in the same way, are one data set.
    """
    adapted = [part for part in parts if any(kind == "adapt" for kind, _ in part.steps)]
    return any(_learns_source(*step) for part in adapted for step in part.steps) and any(
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
        trained = [choice for kind, choice in part.steps if kind == "pretrain"]
        pooled = any(POOL_FREE not in choice.component.traits_with(choice.params) for choice in trained)
        if task.source and any(_takes_source(kind, choice) for kind, choice in part.steps):
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
    return list(words) or ["no labels"]
