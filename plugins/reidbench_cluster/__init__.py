"""Learning on an unlabelled target by clustering: adabn, pseudo-label, spcl, cluster-contrast."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl

from . import published
from .params import AdaBNParams, ClusterContrastParams, PseudoLabelParams, SpCLParams

SOURCE_FREE = frozenset({"source-free"})


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Methods of this plugin; all start from the recipe's backbone weights or fine-tuned embedder."""
    yield Component(
        "adabn",
        "reidbench_cluster.adabn:adapt",
        AdaBNParams,
        traits=SOURCE_FREE,
        summary="batch-norm statistics re-estimated on the target; nothing is trained",
        requires=frozenset({"bn"}),
        paper=Paper(
            title="Revisiting Batch Normalization For Practical Domain Adaptation",
            venue="arXiv 2016",
            url="https://arxiv.org/abs/1603.04779",
        ),
    )
    yield Component(
        "pseudo-label",
        "reidbench_cluster.pseudo_label:adapt",
        PseudoLabelParams,
        traits=SOURCE_FREE,
        summary="the plain loop: cluster, relabel, fine-tune, repeat",
    )
    yield Component(
        "cluster-contrast",
        "reidbench_cluster.cluster_contrast:adapt",
        ClusterContrastParams,
        traits=SOURCE_FREE,
        summary="one memory row per cluster, updated by the mean or the hardest of its images in the batch",
        paper=Paper(
            title="Cluster Contrast for Unsupervised Person Re-Identification",
            venue="ACCV 2022",
            url="https://arxiv.org/abs/2103.11568",
            code="https://github.com/alibaba/cluster-contrast-reid",
            code_licence="MIT",
            deviations=(
                "plain identity batches instead of camera-aware ones: no camera ids are used",
                "the last round counts; the official runs report the best round on test data",
            ),
            published=published.CLUSTER_CONTRAST,
        ),
    )
    yield Component(
        "spcl",
        "reidbench_cluster.spcl:adapt",
        SpCLParams,
        traits=SpCLParams.source_free,
        summary="hybrid memory of source classes, clusters and un-clustered instances; self-paced reliability",
        requires=frozenset({"bn"}),
        paper=Paper(
            title="Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID",
            venue="NeurIPS 2020",
            url="https://arxiv.org/abs/2006.02713",
            code="https://github.com/yxgeee/SpCL",
            code_licence="MIT",
            deviations=(
                "plain identity batches instead of camera-aware ones: no camera ids are used",
                "one device: batch statistics are those of the whole half-batch, not of a quarter of it",
            ),
            published=published.SPCL,
        ),
    )
