"""Table of stage kinds: their names, the components that run in them, and their inputs.

Hooks of component kinds are in `reidbench.hookspecs`; backbones have no stage and are not listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from reidbench.components import Component
from reidbench.contexts import (
    AdaptContext,
    Context,
    EvaluateContext,
    FinetuneContext,
    PrepareContext,
    PretrainContext,
    SelectContext,
)
from reidbench.words import VALIDATION

AUXILIARY = "auxiliary"  # the role that a nested training may learn from instead


@dataclass(frozen=True)
class Given:
    """Images given to the components of a kind: to all of them, or only to those with a given declaration."""

    role: str  # of the task; `split` is the role requested by the user of a preparer, `validation` held-out images
    hidden: bool = False  # without labels
    unless: str = ""  # trait of components that do not receive them
    only_for: str = ""  # protocol word of the only components that receive them
    only_with: str = ""  # trait of the only components that receive them
    optional: bool = False  # the task may omit them

    def goes_to(self, component: Component, params: Any) -> bool:
        """Return whether a component receives these images when used with `params`."""
        if self.only_for:
            return self.only_for in component.protocol_with(params)
        if self.only_with:
            return self.only_with in component.traits_with(params)
        return not self.unless or self.unless not in component.traits_with(params)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Kind of stage, and the kind of component that runs in it.

    The first of `given` are the images that its components learn from, whose cameras and truth they may require.
    """

    stage: str  # of a step, also its key in a matrix file
    component: str = ""  # empty for stages without a component
    given: tuple[Given, ...] = ()
    context: type[Context[Any]] | None = None
    leaves: Literal["", "backbone", "embedder"] = ""  # the network that it saves
    step: bool = False  # a recipe may list it, and its components receive the recipe's backbone
    nested: bool = False  # a `Uses` field may name its components
    repeats: bool = False  # a recipe may list several of them
    several_devices: bool = False  # supports several devices
    torch: bool = True  # computes with torch
    alone: bool = False  # measures time, so no other stage of the run may run concurrently

    @property
    def learns_from(self) -> str:
        """The role of the images that its components learn from; empty if there is none."""
        return self.given[0].role if self.given else ""

    @property
    def pretrains(self) -> bool:
        """Whether its stages vary with `pretrain_seeds`; all later ones vary with `seeds`."""
        return self.learns_from == "pool"

    def trains_nothing(self, component: Component, params: Any) -> bool:
        """Return whether a component keeps its network unchanged, since it receives no images."""
        return not any(images.goes_to(component, params) for images in self.given)


KINDS = (
    Kind(stage="data", component="dataset", torch=False),
    Kind(
        stage="select",
        component="selector",
        given=(Given("pool", hidden=True), Given("target", only_for="target-labels")),
        context=SelectContext,
        step=True,
    ),
    Kind(
        stage="pretrain",
        component="pretrainer",
        given=(Given("pool", hidden=True, unless="pool-free"), Given("auxiliary", only_for="auxiliary")),
        context=PretrainContext,
        leaves="backbone",
        step=True,
        nested=True,
        repeats=True,
        several_devices=True,
    ),
    Kind(
        stage="prepare",
        component="preparer",
        given=(Given("split", hidden=True), Given("target", hidden=True, only_with="translates")),
        context=PrepareContext,
        nested=True,
    ),
    Kind(
        stage="finetune",
        component="finetuner",
        given=(Given("source", unless="label-free"), Given(VALIDATION, only_for=VALIDATION, optional=True)),
        context=FinetuneContext,
        leaves="embedder",
        step=True,
        nested=True,
        several_devices=True,
    ),
    Kind(
        stage="adapt",
        component="adapter",
        given=(Given("target", hidden=True), Given("source", unless="source-free", optional=True)),
        context=AdaptContext,
        leaves="embedder",
        step=True,
        repeats=True,
    ),
    Kind(stage="embed"),
    Kind(stage="criterion"),
    Kind(stage="evaluate", component="evaluator", context=EvaluateContext, torch=False),
    Kind(stage="profile", alone=True),
)
OF_STAGE = {kind.stage: kind for kind in KINDS}
OF_COMPONENT = {kind.component: kind for kind in KINDS if kind.component}
STEPS = {kind.stage: kind for kind in KINDS if kind.step}  # in the order of a recipe
SEVERAL_DEVICES = tuple(kind.stage for kind in KINDS if kind.several_devices)
TRAINED = tuple(kind.stage for kind in KINDS if kind.leaves)
EMBEDDERS = tuple(kind.stage for kind in KINDS if kind.leaves == "embedder")
