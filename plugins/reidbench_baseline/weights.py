"""Pre-training from a user's weights file: read, match, report, and refuse weights that do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reidbench import PretrainContext
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Backbone, LoadReport, load_weights
from reidbench.training.weights.files import innermost, read_checkpoint, state_of
from reidbench.training.weights.transformers import backbone_state, load_transformer

from .params import WeightsParams


def pretrain(ctx: PretrainContext[WeightsParams]) -> Backbone:
    """Return the recipe's backbone with the weights of `file`; `weights-report.json` lists what matched.

    Notes partly loaded or ignored weights. Raises ReidbenchError if the file does not fit the backbone (less than 90 %
    of its tensors, no first layer or a missing block; for a transformer: not exactly all tensors), if the file is not
    safe, or if an option does not apply to this kind of backbone.
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
    """Yield a note on other networks in the file, which are not read."""
    _, aside = innermost(content, shown(params.file))
    if aside:
        names = ", ".join(map(shown, aside))
        yield f"{shown(params.file.name)} contains other networks too, which were left aside: {names}"


def _load(backbone: Backbone, content: Mapping[str, Any], params: WeightsParams) -> LoadReport:
    where = str(params.file)
    if hasattr(backbone, "tokens") or backbone_state(content)[0] == "solider":
        if params.layout != "auto":
            raise ReidbenchError(f"{shown(where)}: layout {params.layout} has no transformers; remove layout")
        return load_transformer(backbone, content, source_grid=params.source_grid, where=where)
    if params.source_grid is not None:
        raise ReidbenchError(
            f"{shown(where)}: source_grid needs a backbone with position embeddings; remove source_grid"
        )
    return load_weights(backbone, state_of(content, shown(where)), layout=params.layout, where=where)
