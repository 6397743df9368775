"""A user's own weights as a pre-training: read, matched, reported, refused when they do not fit."""

from __future__ import annotations

import json

from reidbench.components import PretrainContext
from reidbench.training import Backbone, load_weights, read_state

from .params import WeightsParams


def pretrain(ctx: PretrainContext) -> Backbone:
    """The recipe's backbone with the weights of `file`; `weights-report.json` tells what matched.

    Raises ReidbenchError when less than 90 % of the backbone's tensors are in the file, or the file is not safe.
    """
    params: WeightsParams = ctx.params
    backbone: Backbone = ctx.backbone()
    report = load_weights(backbone, read_state(params.file), layout=params.layout, where=str(params.file))
    backbone.mean, backbone.std = params.mean, params.std
    counts = {"matched": len(report.matched), "missing": len(report.missing), "unexpected": len(report.unexpected)}
    ctx.log(counts)
    told = {"layout": report.layout, "missing": report.missing, "unexpected": report.unexpected}
    (ctx.out / "weights-report.json").write_text(json.dumps({**told, "matched": report.matched}, indent=1))
    return backbone
