"""CLIP-ReID (Li et al., AAAI 2023): CLIP's image encoder, and its fine-tuning with a learned text for each identity."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from . import presets
from .papers import CLIP, CLIP_REID
from .params import PROJECTION, ClipReidParams, ClipViTParams, ClipViTTinyParams


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield CLIP's image encoders."""
    backbones: tuple[tuple[str, type[ClipViTParams], str], ...] = (
        ("tiny", ClipViTTinyParams, "CLIP's image encoder of 48 dimensions and 3 blocks for 64x32 on a CPU"),
        ("base", ClipViTParams, "CLIP's ViT-B/16: 768 dimensions, 12 blocks, 12 heads, 512 shared with the text"),
    )
    for size, params, summary in backbones:
        yield Component(
            f"clip-vit-{size}",
            f"reidbench_clip.encoders:clip_vit_{size}",
            params,
            summary=summary,
            capabilities=frozenset({"tokens", PROJECTION}),
            traits=params.traits,
            protocol=params.supervision,
            paper=CLIP,
        )


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner `clip-reid`."""
    yield Component(
        "clip-reid",
        "reidbench_clip.finetune:finetune",
        ClipReidParams,
        summary="two stages: a text of learned tokens for each identity, then the image encoder, drawn to these texts",
        requires=frozenset({PROJECTION}),
        protocol=ClipReidParams.supervision,
        paper=CLIP_REID,
        presets=presets.CLIP_REID,
        rehearsal=presets.REHEARSAL,
        workload="reidbench_clip.workload:workload",
    )
