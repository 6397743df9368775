"""Number of devices of a stage, from the benchmark, the kind of stage and the component."""

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

DATA_PARALLEL = "data-parallel"  # a component with this trait gives the same results on several devices
MOST = 64  # devices of one machine
GPUS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvmap", "/dev/dxg", "/dev/kfd")  # of NVIDIA, also in WSL, and of AMD
ASK = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


class OneDevice(ReidbenchError):
    """Raised when a component that supports one device is asked to train on several."""


def asked_for(kind: str, devices: Devices) -> int:
    """Return the number of devices for stages of `kind`; `devices: N` applies to pretrain and finetune.

    All other kinds use one: adapters cluster the whole target between epochs, and the rest is short.
    """
    if not OF_STAGE[kind].several_devices:
        return 1
    return devices.get(kind, 1) if isinstance(devices, Mapping) else devices


def devices_for(kind: str, component: Component, params: Any, devices: Devices) -> int:
    """Return the number of devices of a stage of this component, which enters its key.

    A component that does not train uses one. Raises OneDevice for one that trains without the trait "data-parallel".
    """
    asked = asked_for(kind, devices)
    if asked == 1 or OF_STAGE[kind].trains_nothing(component, params):
        return 1
    if DATA_PARALLEL not in component.traits_with(params):
        other = next(word for word in SEVERAL_DEVICES if word != kind)
        cure = f"use one for `{kind}`, as in `devices: {{{other}: {asked}}}`"
        raise OneDevice(f"{component.name} trains on one device, not on {asked}: {cure}")
    return asked


def processor(computes_with_torch: bool) -> str:
    """Return the processor of a stage: the accelerator's name if it uses one, otherwise the CPU's."""
    if computes_with_torch:
        import torch

        if torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def sees_gpus() -> bool:
    """Return whether stages compute on a GPU, without initialising it: its state does not survive a fork."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path(device).exists() for device in GPUS)


def machine(threads: int) -> str:
    """Return the machine of a measurement: the GPU, or the CPU with cores and threads; and torch's version."""
    torch = f"torch {metadata.version('torch')}"
    gpu = _gpu() if sees_gpus() else ""
    if gpu:
        return f"{gpu}, {torch}"
    cores = os.cpu_count() or 1
    counts = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in ((cores, "core"), (threads, "thread"))]
    return ", ".join([processor(computes_with_torch=False), *counts, torch])


@functools.cache
def _gpu() -> str:
    """Return torch's name of the GPU, or ""; without torch it asks a subprocess, to keep the GPU uninitialised."""
    if "torch" in sys.modules:
        import torch

        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)  # noqa: S603
    return asked.stdout.strip()


def refusals(recipes: Sequence[Recipe], devices: Devices) -> Iterator[str]:
    """Yield an error for each method with a step, or a nested stage, that trains on one device only."""
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
