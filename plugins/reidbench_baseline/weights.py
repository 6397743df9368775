"""A user's own weights as a pre-training: read, matched, reported, refused when they do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reidbench import PretrainContext
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Backbone, LoadReport, load_weights
from reidbench.training.weights.files import innermost, read_checkpoint, state_of
from reidbench.training.weights.transformers import load_transformer

from .params import WeightsParams


def pretrain(ctx: PretrainContext[WeightsParams]) -> Backbone:
    """The recipe's backbone with the weights of `file`; `weights-report.json` says what matched.

    What was loaded in part, or left aside, is noted. Raises ReidbenchError when the file is not the backbone's: less
    than 90 % of its tensors, no first layer or a whole block missing (of a transformer: not exactly all); when the
    file is not safe, or an option does not belong to this kind of backbone.
    """
    params = ctx.params
    backbone: Backbone = ctx.backbone()
    content = read_checkpoint(params.file)
    report = _load(backbone, content, params)
    for note in [*report.notes(shown(params.file.name)), *_aside(content, params)]:
        ctx.note(note)
    backbone.mean, backbone.std = params.mean, params.std
    counts = {"matched": len(report.matched), "missing": len(report.missing), "unexpected": len(report.unexpected)}
    ctx.log(counts)
    told = {"layout": report.layout, "missing": report.missing, "unexpected": report.unexpected}
    told |= {"reshaped": report.reshaped, "matched": report.matched}
    (ctx.out / "weights-report.json").write_text(json.dumps(told, indent=1))
    return backbone


def _aside(content: Mapping[str, Any], params: WeightsParams) -> Iterator[str]:
    """A note on other networks of the file, of which nothing was read."""
    _, aside = innermost(content, shown(params.file))
    if aside:
        names = ", ".join(map(shown, aside))
        yield f"{shown(params.file.name)} contains other networks too, which were left aside: {names}"


def _load(backbone: Backbone, content: Mapping[str, Any], params: WeightsParams) -> LoadReport:
    where = str(params.file)
    if hasattr(backbone, "tokens"):
        if params.layout != "auto":
            raise ReidbenchError(f"{shown(where)}: layout {params.layout} has no transformers; leave layout out")
        return load_transformer(backbone, content, source_grid=params.source_grid, where=where)
    if params.source_grid is not None:
        raise ReidbenchError(f"{shown(where)}: source_grid is for backbones with position embeddings")
    return load_weights(backbone, state_of(content, shown(where)), layout=params.layout, where=where)
