"""TransReID-SSL (Luo et al., 2021): DINO on unlabelled images of persons, and the fine-tuning of transformers."""

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
    """Return the pretrainer `dino`."""
    yield Component(
        "dino",
        "reidbench_transreid_ssl.dino:pretrain",
        DinoParams,
        summary="self-distillation between crops, with a multi-crop for upright persons; any backbone",
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
    """Return the fine-tuners `transreid` and `transreid-sie`."""
    yield Component(
        "transreid",
        "reidbench_transreid_ssl.finetune:finetune",
        TransReidParams,
        version=2,
        requires=TransReidParams.required,
        protocol=TransReidParams.protocol,
        summary="identity and triplet losses with a BNNeck, for transformers; any backbone unless jigsaw "
        "patches are used",
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
