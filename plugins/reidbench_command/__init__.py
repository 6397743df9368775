"""Rows from programs: a command that embeds a folder of pictures, and one that trains before."""

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
    """A program that embeds pictures, trained on nothing or on the labelled source."""
    yield Component(
        "command",
        "reidbench_command.training:finetune",
        FinetuneParams,
        summary="a program of your own that embeds pictures, and may train on the labelled source",
        traits=FinetuneParams.traits,
        protocol=FinetuneParams.protocol,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """A program that also trains on the target's pictures."""
    yield Component(
        "command",
        "reidbench_command.training:adapt",
        AdaptParams,
        summary="a program of your own that trains on the target's pictures and embeds pictures",
        traits=AdaptParams.traits,
        requires=AdaptParams.required,
        protocol=AdaptParams.protocol,
    )
