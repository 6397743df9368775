"""Rows from external programs: a command that embeds a folder of images, optionally after a training command."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import AdaptParams, FinetuneParams

CHECK = {
    "finetuner command": "reidbench_command.examples:finetuner",
    "adapter command": "reidbench_command.examples:adapter",
}


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner: a program that embeds images, untrained or trained on the labelled source."""
    yield Component(
        "command",
        "reidbench_command.training:finetune",
        FinetuneParams,
        summary="an external program that embeds images and may train on the labelled source",
        traits=FinetuneParams.traits,
        protocol=FinetuneParams.protocol,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Yield the adapter: a program that also trains on the target's images."""
    yield Component(
        "command",
        "reidbench_command.training:adapt",
        AdaptParams,
        summary="an external program that trains on the target's images and embeds images",
        traits=AdaptParams.traits,
        requires=AdaptParams.required,
        protocol=AdaptParams.protocol,
    )
