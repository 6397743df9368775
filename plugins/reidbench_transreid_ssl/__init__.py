"""TransReID-SSL (Luo et al., 2021): DINO on unlabelled persons, and the fine-tuning of transformers for re-ID."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from . import presets
from .papers import TRANSREID, TRANSREID_SIE, TRANSREID_SSL
from .params import DinoParams
from .transreid_params import TransReidParams, TransReidSieParams

REHEARSAL = {"epochs": 1, "identities": 4, "images": 2, "accumulate": 1}


@hookimpl
def reidbench_pretrainers() -> Iterator[Component]:
    """The pretrainer of this plugin."""
    yield Component(
        "dino",
        "reidbench_transreid_ssl.dino:pretrain",
        DinoParams,
        summary="self-distillation between crops, with the multi-crop of upright persons; any backbone",
        traits=frozenset({"data-parallel"}),
        paper=TRANSREID_SSL,
        presets=presets.DINO,
        rehearsal={
            "epochs": 1,
            "batch": 2,
            "warmup_epochs": 0,
            "warmup_teacher_epochs": 0,
            "local_crops": 2,
        },
        workload="reidbench_transreid_ssl.workload:dino",
    )


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """The fine-tuners of this plugin."""
    yield Component(
        "transreid",
        "reidbench_transreid_ssl.finetune:finetune",
        TransReidParams,
        version=2,
        requires=TransReidParams.required,
        protocol=TransReidParams.protocol,
        summary="identity and triplet losses around a BNNeck, for transformers; any backbone without jigsaw patches",
        paper=TRANSREID,
        presets=presets.TRANSREID,
        rehearsal=REHEARSAL,
        workload="reidbench_transreid_ssl.workload:transreid",
    )
    yield Component(
        "transreid-sie",
        "reidbench_transreid_ssl.finetune:finetune_sie",
        TransReidSieParams,
        version=2,
        summary="transreid with a learned vector for each camera of the source",
        requires=frozenset({"tokens", "cameras"}),
        protocol=TransReidSieParams.protocol,
        paper=TRANSREID_SIE,
        presets=presets.TRANSREID_SIE,
        rehearsal=REHEARSAL,
        workload="reidbench_transreid_ssl.workload:transreid",
    )
