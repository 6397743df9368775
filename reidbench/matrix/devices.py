"""On how many devices a stage runs: the benchmark asks, the kind of stage and the component answer."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from reidbench.components import Component
from reidbench.errors import ReidbenchError

from .benchmark import Choice, Devices, Recipe
from .kinds import OF_COMPONENT, OF_STAGE, SEVERAL_DEVICES

DATA_PARALLEL = "data-parallel"  # a component with this trait trains on several devices as it does on one
MOST = 64  # devices of one machine
GPUS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/dxg", "/dev/kfd")  # of NVIDIA, also in WSL, and of AMD
ASK = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


class OneDevice(ReidbenchError):
    """A component was asked to train on several devices, which it does not do."""


def asked_for(kind: str, devices: Devices) -> int:
    """The devices that a benchmark gives to stages of `kind`: `devices: N` means pretrain and finetune alike.

    All other kinds run on one: adapters cluster the whole target between epochs, and the rest is short.
    """
    if not OF_STAGE[kind].several_devices:
        return 1
    return devices.get(kind, 1) if isinstance(devices, Mapping) else devices


def devices_for(kind: str, component: Component, params: Any, devices: Devices) -> int:
    """The devices that a stage of this component runs on, which is what enters its key.

    A component that trains on nothing takes one, whatever the benchmark asks for. Raises OneDevice, in one sentence,
    for one that trains without the trait "data-parallel".
    """
    asked = asked_for(kind, devices)
    if asked == 1 or OF_STAGE[kind].trains_nothing(component, params):
        return 1
    if DATA_PARALLEL not in component.traits_with(params):
        other = next(word for word in SEVERAL_DEVICES if word != kind)
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


def sees_gpus() -> bool:
    """Whether stages compute on a GPU, as far as can be said without waking it: a fork does not survive that."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path(device).exists() for device in GPUS)


def machine(threads: int) -> str:
    """What times are measured on, in words: the GPU, or else the processor, its cores and the threads; and torch."""
    torch = f"torch {metadata.version('torch')}"
    gpu = _gpu() if sees_gpus() else ""
    if gpu:
        return f"{gpu}, {torch}"
    cores = os.cpu_count() or 1
    counts = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in ((cores, "core"), (threads, "thread"))]
    return ", ".join([processor(computes_with_torch=False), *counts, torch])


@functools.cache
def _gpu() -> str:
    """The GPU's name as torch has it, or nothing. A process without torch asks another: planning wakes no GPU."""
    if "torch" in sys.modules:
        import torch

        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout.strip()


def refusals(recipes: Sequence[Recipe], devices: Devices) -> Iterator[str]:
    """A sentence for each method of which a step, or a stage nested in it, trains on one device only."""
    for recipe in recipes:
        for choice in _with_nested([choice for _, choice in recipe.steps]):
            try:
                devices_for(OF_COMPONENT[choice.kind].stage, choice.component, choice.params, devices)
            except OneDevice as error:
                yield f"method {recipe.name}: {error}"


def _with_nested(choices: Sequence[Choice]) -> Iterator[Choice]:
    for choice in choices:
        yield choice
        yield from _with_nested([inner for inner, _ in choice.nested.values()])
