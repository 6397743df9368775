"""On how many devices a stage runs: the benchmark asks, the kind of stage and the component answer."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidbench.components import Component
from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from .benchmark import Choice, Recipe

DATA_PARALLEL = "data-parallel"  # a component with this trait trains on several devices as it does on one
MOST = 64  # devices of one machine
# Kinds of stage that may take several devices, and the word of their components that train on nothing.
TRAINS_NOTHING = {"pretrain": "pool-free", "finetune": "label-free"}
KINDS = tuple(TRAINS_NOTHING)
STAGES = {"pretrainer": "pretrain", "finetuner": "finetune"}  # kind of component -> kind of its stage

Devices = int | Mapping[str, int]


class OneDevice(ReidbenchError):
    """A component was asked to train on several devices, which it does not do."""


def asked_for(kind: str, devices: Devices) -> int:
    """The devices that a benchmark gives to stages of `kind`: `devices: N` means pretrain and finetune alike.

    All other kinds run on one: adapters cluster the whole target between epochs, and the rest is short.
    """
    if kind not in KINDS:
        return 1
    return devices.get(kind, 1) if isinstance(devices, Mapping) else devices


def devices_for(kind: str, component: Component, params: Any, devices: Devices) -> int:
    """The devices that a stage of this component runs on, which is what enters its key.

    A component that trains on nothing takes one, whatever the benchmark asks for. Raises OneDevice, in one sentence,
    for one that trains without the trait "data-parallel".
    """
    asked = asked_for(kind, devices)
    if asked == 1 or _trains_nothing(kind, component, params):
        return 1
    if DATA_PARALLEL not in component.traits_with(params):
        other = next(word for word in KINDS if word != kind)
        cure = f"give `{kind}` one, as in `devices: {{{other}: {asked}}}`"
        raise OneDevice(f"{component.name} trains on one device, not on {asked}: {cure}")
    return asked


def processor(computes_with_torch: bool) -> str:
    """The kind of processor that a stage runs on: the accelerator's name where it has one, else the CPU's."""
    if computes_with_torch:
        import torch

        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def refusals(recipes: Sequence[Recipe], devices: Devices) -> Iterator[str]:
    """A sentence for each method of which a step, or a stage nested in it, trains on one device only."""
    for recipe in recipes:
        for choice in _with_nested([choice for _, choice in recipe.steps]):
            try:
                devices_for(STAGES.get(choice.kind, choice.kind), choice.component, choice.params, devices)
            except OneDevice as error:
                yield f"method {recipe.name}: {error}"


def _with_nested(choices: Sequence[Choice]) -> Iterator[Choice]:
    for choice in choices:
        yield choice
        yield from _with_nested([inner for inner, _ in choice.nested.values()])


def _trains_nothing(kind: str, component: Component, params: Any) -> bool:
    """Whether it keeps what it is given: the fine-tuner `none`, or weights that are read from a file."""
    return TRAINS_NOTHING[kind] in component.traits_with(params) and "auxiliary" not in component.protocol_with(params)
