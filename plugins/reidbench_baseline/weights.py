"""A user's own weights as a pre-training: read, matched, reported, refused when they do not fit."""

from __future__ import annotations

import json

from reidbench.components import PretrainContext
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone, LoadReport, load_weights, read_state
from reidbench.training.transformer_weights import load_transformer, read_checkpoint

from .params import WeightsParams


def pretrain(ctx: PretrainContext) -> Backbone:
    """The recipe's backbone with the weights of `file`; `weights-report.json` tells what matched.

    Raises ReidbenchError when less than 90 % of the backbone's tensors are in the file (of a transformer's: not
    exactly all), the file is not safe, or an option does not belong to this kind of backbone.
    """
    params: WeightsParams = ctx.params
    backbone: Backbone = ctx.backbone()
    report = _load(backbone, params)
    backbone.mean, backbone.std = params.mean, params.std
    counts = {"matched": len(report.matched), "missing": len(report.missing), "unexpected": len(report.unexpected)}
    ctx.log(counts)
    told = {"layout": report.layout, "missing": report.missing, "unexpected": report.unexpected}
    (ctx.out / "weights-report.json").write_text(json.dumps({**told, "matched": report.matched}, indent=1))
    return backbone


def _load(backbone: Backbone, params: WeightsParams) -> LoadReport:
    where = str(params.file)
    if hasattr(backbone, "tokens"):
        if params.layout != "auto":
            raise ReidbenchError(f"{where}: layout {params.layout} has no transformers; leave layout out")
        return load_transformer(backbone, read_checkpoint(params.file), source_grid=params.source_grid, where=where)
    if params.source_grid is not None:
        raise ReidbenchError(f"{where}: source_grid is for backbones with position embeddings")
    return load_weights(backbone, read_state(params.file), layout=params.layout, where=where)
