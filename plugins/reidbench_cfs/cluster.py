"""Diversity instead of similarity: the same share of every cluster of the pool, without using a target."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from reidbench import SelectContext, Selection
from reidbench.errors import DataError
from reidbench.metrics.pseudo_labels import k_means
from reidbench.training import image_source, stream

from . import ranking
from .params import ClusterParams
from .scoring import BATCH, Extractor, measure_pool


def select(ctx: SelectContext[ClusterParams]) -> Selection:
    """Cluster unit features of the proxy by k-means and keep images in turns, nearest to the centres first.

    Scores (see `turns`) fall from the nearest image of each cluster to the second nearest of each, ... An exhausted
    cluster leaves its turns to the others, and a smaller share is a subset of a larger one.
    """
    params = ctx.params
    proxy = Extractor("proxy", ctx.network("proxy"), ctx.image_size, ctx.fabric.device)
    centres = torch.from_numpy(_centres(ctx, proxy)).to(proxy.device)

    def measure(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        nearness, cluster = (F.normalize(proxy(pixels), dim=1) @ centres.t()).max(1)
        return cluster, nearness

    columns = measure_pool(ctx, measure, cluster=np.int32, nearness=np.float32)
    cluster, nearness = columns.arrays["cluster"], columns.arrays["nearness"]
    scores = turns(cluster, nearness, columns.content)
    selection = ranking.select(scores, params.keep, tie_break=columns.content)
    ranking.write_list(ctx.out, selection, columns.content)
    sizes = np.bincount(cluster, minlength=len(centres))
    facts = {
        "uses_target_labels": False,
        "proxy": params.proxy.model_dump(mode="json"),
        "clusters": {
            "images": sizes.tolist(),
            "kept": np.bincount(cluster[selection.indices], minlength=len(centres)).tolist(),
        },
        "pool": {"images": len(ctx.pool), "hash": ranking.pool_hash(columns.content)},
        "kept": {"share": params.keep, "images": len(selection.indices)},
    }
    ranking.write_facts(ctx.out, facts)
    ctx.log({"clusters": float((sizes > 0).sum()), "largest_cluster": float(sizes.max())})
    return selection


def turns(
    cluster: NDArray[np.int32], nearness: NDArray[np.float32], tie_break: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Scores [N] for taking turns: 0.5 + nearness / 4 minus the image's rank in its cluster, from 0.

    cluster [N], nearness [N] in [-1, 1]; equal nearness within a cluster is ordered by rising `tie_break` [N].
    """
    order = np.lexsort((tie_break, -nearness, cluster))
    ordered = cluster[order]
    first = np.searchsorted(ordered, ordered)  # start of each row's cluster
    scores = np.empty(len(cluster))
    scores[order] = first - np.arange(len(order))
    scores += 0.5 + np.clip(nearness, -1, 1) / 4.0
    return scores


def _centres(ctx: SelectContext[ClusterParams], proxy: Extractor) -> NDArray[np.float32]:
    """Unit centres [k, D] of k-means on unit features of at most `sample` images, drawn with the seed."""
    params = ctx.params
    generator = stream(ctx.seed, "cluster sample")
    chosen = np.sort(torch.randperm(len(ctx.pool), generator=generator)[: params.sample].numpy())
    fetch = image_source(ctx.pool, ctx.image_size, limit=0, workers=ctx.workers)
    parts = np.array_split(chosen, -(-len(chosen) // BATCH))
    features = np.concatenate([F.normalize(proxy(fetch(part)), dim=1).cpu().numpy() for part in parts])
    labels = k_means(features, min(params.clusters, len(features)), seed=ctx.seed)
    count = int(labels.max()) + 1
    if count == 0:
        raise DataError(f"{params.clusters} clusters leave each of {len(features)} images alone: lower clusters")
    sums = np.zeros((count, features.shape[1]))
    np.add.at(sums, labels[labels >= 0], features[labels >= 0])
    centres: np.ndarray = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return centres.astype(np.float32)
