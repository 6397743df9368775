"""The catastrophic forgetting score (Luo et al., arXiv 2111.12084, section 3.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench import SelectContext, Selection
from reidbench.errors import ReidbenchError

from . import ranking
from .params import CfsParams
from .scoring import Extractor, cosine, measure_pool


def select(ctx: SelectContext[CfsParams]) -> Selection:
    """Score every pool image by the cosine between its features before and after a fine-tuning on the target.

    c(x) = <f_s(x), f_t(x)> / (|f_s(x)| |f_t(x)|) in [-1, 1]. The source proxy f_s is trained on the whole pool; the
    target proxy f_t starts from f_s and is trained on the target. Little forgetting means similarity to the target, so
    the highest scores are kept. Writes `list.csv`, `list.parquet` (if pyarrow is installed) and `facts.json`.
    """
    params = ctx.params
    device = ctx.fabric.device
    source = Extractor("proxy", ctx.network("proxy"), ctx.image_size, device)
    target = Extractor("target_proxy", ctx.network("target_proxy"), ctx.image_size, device)
    if source.backbone.dim != target.backbone.dim:
        raise ReidbenchError(
            f"features of lengths {source.backbone.dim} and {target.backbone.dim} cannot be compared: the target "
            "proxy must start from the source proxy"
        )

    def measure(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (cosine(source(pixels), target(pixels)),)

    columns = measure_pool(ctx, measure, score=np.float32)
    scores, content = columns.arrays["score"], columns.content
    selection = ranking.select(scores, params.keep, lowest=params.order == "lowest", tie_break=content)
    ranking.write_list(ctx.out, selection, content)
    summary = ranking.describe_scores(scores)
    ctx.log({f"score_{name}": value for name, value in summary.items()})
    facts = {
        "uses_target_labels": target.labelled,
        "target": _targets(ctx.prepared.get("target_proxy")),
        "proxy": params.proxy.model_dump(mode="json"),
        "target_proxy": params.target_proxy.model_dump(mode="json"),
        "pixels": {"proxy": source.pixel_statistics(), "target_proxy": target.pixel_statistics()},
        "pool": {"images": len(ctx.pool), "hash": ranking.pool_hash(content)},
        "kept": {"share": params.keep, "images": len(selection.indices), "order": params.order},
        "scores": summary,
    }
    ranking.write_facts(ctx.out, facts)
    return selection


def _targets(folder: Path | None) -> list[str] | None:
    """Return the target proxy's training data, as named in its artifact's manifest; None without a manifest."""
    manifest = folder / "manifest.json" if folder is not None else None
    if manifest is None or not manifest.is_file():
        return None
    given: list[dict[str, Any]] = json.loads(manifest.read_text())["stage"]["data"]
    return [one["data"] for one in given]
