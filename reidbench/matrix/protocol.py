"""Protocol words of a recipe on a task, for the protocol column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reidbench.components import SameContent
from reidbench.data.pictures.size import ImageSize
from reidbench.words import BACKBONE_FREE, DECLARED, FLIP, UNDECLARED

from .benchmark import ALL_IMAGES, Benchmark, Choice, DataSource, Features, Recipe, Task, marker
from .kinds import AUXILIARY, OF_COMPONENT, OF_STAGE


def _takes(choice: Choice, role: str) -> bool:
    """Return whether a component receives the images of a role."""
    images = (images for images in OF_COMPONENT[choice.kind].given if images.role == role)
    return any(given.goes_to(choice.component, choice.params) for given in images)


# In a sequence each data set is a target while training on it, unlike an unseen one.
OF_SOURCES = {"target images": "source images", "target-labels": "source labels"}
IMAGES = {"target": {"target images"}, "pool": {"pool"}, AUXILIARY: {"auxiliary"}}  # words for images of a role


def _used(choice: Choice, shared: bool = False) -> set[str]:
    """Return the words declared by a choice and its nested components; labels of the target count in every role.

    `shared`: the auxiliary data include the target.
    """
    words = set(choice.component.protocol_with(choice.params))
    if shared and "auxiliary" in words:
        words |= {"target-labels"}
    for inner, mark in choice.nested.values():
        target = mark.role == "target" or (shared and mark.role == AUXILIARY)
        said = _used(inner, shared) | IMAGES.get(mark.role, set()) | (IMAGES["target"] if target else set())
        if mark.role == "pool":  # the truth about rendered persons reveals nothing about the target
            said = {"truth of the pool" if word == "truth" else word for word in said}
        words |= said
        if target and _takes(inner, "source"):  # fine-tuned with the labels of that role
            words |= {"target-labels"}
    return words


def _prepares_target(choice: Choice) -> bool:
    """Return whether a preparer nested in a choice receives the images that a task adapts to."""
    nested = [(inner, mark.role) for inner, mark in choice.nested.values()]
    return any(
        (inner.kind == "preparer" and (role == "target" or _takes(inner, "target"))) or _prepares_target(inner)
        for inner, role in nested
    )


def _learns_source(choice: Choice, role: str = "source") -> bool:
    """Return whether a component on the data of a role, or a training nested in it, receives source labels."""
    return (role == "source" and _takes(choice, "source")) or any(
        _learns_source(inner, mark.role) for inner, mark in choice.nested.values()
    )


def _target_is_source(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> bool:
    """Return whether an adapter's target is a data set whose labels it, or an earlier step, was trained on.

    Two names for the same files, read in the same way, are the same data set.
    """
    adapted = [part for part in parts if any(kind == "adapt" for kind, _ in part.steps)]
    return any(_learns_source(choice) for part in adapted for _, choice in part.steps) and _among(task, "source", data)


def _among(task: Task, role: str, data: Mapping[str, DataSource]) -> bool:
    """Return whether the target is one of the data sets of a role."""
    return any(
        ref.name == task.target.name or said_content(data[ref.name]) == said_content(data[task.target.name])
        for ref in task.refs(role)
    )


def said_content(source: DataSource) -> tuple[Any, ...]:
    """Return what in an entry defines its data set; how strictly counts are checked, for example, does not."""
    choice = source.choice
    fields = type(choice.params).model_fields
    params = {name: value for name, value in choice.resolved.items() if not marker(fields[name], SameContent)}
    return choice.name, params, source.root.resolve() if source.root else None


def _started_with(part: Recipe) -> Iterator[Choice]:
    """Yield the networks whose own weights a recipe uses; steps after a training start from its weights."""
    for kind, choice in part.steps:
        if BACKBONE_FREE not in choice.component.traits_with(choice.params):
            backbone = choice.backbone or part.backbone
            assert backbone is not None  # methods with steps have one
            yield backbone
            if OF_STAGE[kind].leaves:
                return


def _nested_starts(choice: Choice, around: Choice | None) -> Iterator[Choice]:
    """Yield the networks that trainings nested in a choice start from; `around` is the network of its step."""
    own = choice.backbone or around
    for inner, mark in choice.nested.values():
        fresh = OF_COMPONENT[inner.kind].step and not mark.start
        if fresh and own is not None and BACKBONE_FREE not in inner.component.traits_with(inner.params):
            yield inner.backbone or own
        yield from _nested_starts(inner, own)


def tested_at(benchmark: Benchmark) -> Callable[[Recipe, Sequence[Recipe]], tuple[str, ...]]:
    """Return a function that gives the protocol words for the test image size and filter of a method's parts.

    It returns none if all methods use the same, on every task.
    """
    variants = [variant for recipe in benchmark.methods for variant in recipe.variants]
    known = [size for one in variants if not one.ensemble and (size := benchmark.test_size(one))]
    filters = len({size.resize_test for size in known}) > 1
    several = len({_size_word(size, filters) for size in known}) > 1

    def words(recipe: Recipe, parts: Sequence[Recipe]) -> tuple[str, ...]:
        sizes = [size for part in parts if (size := benchmark.test_size(part))] if several else []
        said = " and ".join(dict.fromkeys(_size_word(size, filters) for size in sizes))
        return (f"{DECLARED if recipe.features else ''}tested at {said}",) if said else ()

    return words


def _size_word(size: ImageSize, with_filter: bool) -> str:
    return f"{size[0]}x{size[1]}{f' ({size.resize_test})' if with_filter else ''}"


def _declared(features: Features) -> list[str]:
    """Return the declared words of a row of files; they are not measured."""
    if features.uses is None:
        return [UNDECLARED]
    return [f"{DECLARED}{word}" for word in features.uses or ("no labels",)]


def protocol_words(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> list[str]:
    """Return protocol words for the labels, images and knowledge used by a method on a task; `data` by name."""
    words: dict[str, None] = {}
    shared = _among(task, AUXILIARY, data)
    for part in parts:
        words |= dict.fromkeys(_declared(part.features) if part.features else ())
        kinds = {kind for kind, _ in part.steps}
        pooled = any(kind == "pretrain" and _takes(choice, "pool") for kind, choice in part.steps)
        if task.source and any(_takes(choice, "source") for _, choice in part.steps):
            words["source labels"] = None
        if any(ref.images == ALL_IMAGES for ref in task.source) and "source labels" in words:
            words["train and test images of the source"] = None
        if pooled and task.pool:
            words["pool"] = None
        prepares = any(_prepares_target(choice) for _, choice in part.steps)
        if "adapt" in kinds or prepares:
            words["target images"] = None
            if task.adapt_on == "test":
                words["transductive"] = None
        nested = (network for _, choice in part.steps for network in _nested_starts(choice, part.backbone))
        started = (word for backbone in (*_started_with(part), *nested) for word in sorted(_used(backbone)))
        words |= dict.fromkeys(started)  # labels behind the weights that it starts from
        for _, choice in part.steps:
            words |= dict.fromkeys(sorted(_used(choice, shared)))
    if _target_is_source(parts, task, data):
        words["target is a source"] = None
    if len(parts) > 1:
        words[f"ensemble of {len(parts)}"] = None
    flipped = FLIP in words or any(part.flip_test for part in parts)  # by the method itself, or by the benchmark
    if task.in_order and not _among(task, "source", data):
        words = dict.fromkeys(OF_SOURCES.get(word, word) for word in words)
    found = [word for word in words if word != FLIP] or ["no labels"]
    return [*found, FLIP] if flipped else found
