"""What a recipe used on a task, in words, for the protocol column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reidbench.components import SameContent
from reidbench.data.pictures.size import ImageSize
from reidbench.words import BACKBONE_FREE, DECLARED, FLIP, UNDECLARED

from .benchmark import ALL_IMAGES, Benchmark, Choice, DataSource, Features, Recipe, Task, marker
from .kinds import AUXILIARY, OF_COMPONENT, OF_STAGE


def _takes(choice: Choice, role: str) -> bool:
    """Whether a component is given the images of a role."""
    images = (images for images in OF_COMPONENT[choice.kind].given if images.role == role)
    return any(given.goes_to(choice.component, choice.params) for given in images)


# In a sequence each data set is a target while it is trained on; that is none of an unseen one.
OF_SOURCES = {"target images": "source images", "target-labels": "source labels"}
IMAGES = {"target": {"target images"}, "pool": {"pool"}, AUXILIARY: {"auxiliary"}}  # words for images of a role


def _used(choice: Choice, shared: bool = False) -> set[str]:
    """What a choice and the components nested in it say that they use; labels of the target count for all.

    `shared`: the auxiliary data include the target.
    """
    words = set(choice.component.protocol_with(choice.params))
    if shared and "auxiliary" in words:
        words |= {"target-labels"}
    for inner, mark in choice.nested.values():
        target = mark.role == "target" or (shared and mark.role == AUXILIARY)
        said = _used(inner, shared) | IMAGES.get(mark.role, set()) | (IMAGES["target"] if target else set())
        if mark.role == "pool":  # rendered persons whose making is known tell nothing of the target
            said = {"truth of the pool" if word == "truth" else word for word in said}
        words |= said
        if target and _takes(inner, "source"):  # fine-tuned with the labels of that role
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
    return any(_learns_source(choice) for part in adapted for _, choice in part.steps) and _among(task, "source", data)


def _among(task: Task, role: str, data: Mapping[str, DataSource]) -> bool:
    """Whether the target is one of the data sets of a role."""
    return any(
        ref.name == task.target.name or said_content(data[ref.name]) == said_content(data[task.target.name])
        for ref in task.refs(role)
    )


def said_content(source: DataSource) -> tuple[Any, ...]:
    """What makes a data set, by its entry: how strictly its counts are checked, for one, does not."""
    choice = source.choice
    fields = type(choice.params).model_fields
    params = {name: value for name, value in choice.resolved.items() if not marker(fields[name], SameContent)}
    return choice.name, params, source.root.resolve() if source.root else None


def _started_with(part: Recipe) -> Iterator[Choice]:
    """The networks whose own weights a recipe uses: a step after a training has the weights of that."""
    for kind, choice in part.steps:
        if BACKBONE_FREE not in choice.component.traits_with(choice.params):
            backbone = choice.backbone or part.backbone
            assert backbone is not None  # a method with steps has one
            yield backbone
            if OF_STAGE[kind].leaves:
                return


def tested_at(benchmark: Benchmark) -> Callable[[Recipe, Sequence[Recipe]], tuple[str, ...]]:
    """What gives the word for the size of test images, and for their filter, of a method by its parts on a task.

    It gives none where all methods have the same, on whatever task.
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
    """The words of a row of files, each as declared: nobody has measured them."""
    if features.uses is None:
        return [UNDECLARED]
    return [f"{DECLARED}{word}" for word in features.uses or ("no labels",)]


def protocol_words(parts: Sequence[Recipe], task: Task, data: Mapping[str, DataSource]) -> list[str]:
    """Which labels, images and knowledge a method used on a task, for the protocol column; `data` by name."""
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
        if "adapt" in kinds:
            words["target images"] = None
            if task.adapt_on == "test":
                words["transductive"] = None
        started = (word for backbone in _started_with(part) for word in sorted(_used(backbone)))
        words |= dict.fromkeys(started)  # the labels behind the weights that it starts with
        for _, choice in part.steps:
            words |= dict.fromkeys(sorted(_used(choice, shared)))
    if _target_is_source(parts, task, data):
        words["target is a source"] = None
    if len(parts) > 1:
        words[f"ensemble of {len(parts)}"] = None
    flipped = FLIP in words or any(part.flip_test for part in parts)  # by the method itself, or by the harness
    if task.in_order and not _among(task, "source", data):
        words = dict.fromkeys(OF_SOURCES.get(word, word) for word in words)
    found = [word for word in words if word != FLIP] or ["no labels"]
    return [*found, FLIP] if flipped else found
