"""Baselines: backbones, untrained features, colour histogram, supervised fine-tuning, pre-training and retrieval."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, Paper, hookimpl
from reidbench.components import fractions

from . import presets, transformers
from .backbones import declared
from .papers import BDB, BOT, DISTILL, MGN, MGN_LUPERSON, MOCO, RESNET, RESNEXT, SENET
from .params import (
    BdbParams,
    BotParams,
    DistillParams,
    HistogramParams,
    MgnLupersonParams,
    MgnParams,
    MocoParams,
    NoneParams,
    ResNetParams,
    SupervisedParams,
    TinyParams,
    WeightsParams,
)
from .protocols import PROTOCOLS
from .ranking_params import ExpansionParams, RankingParams, ReciprocalParams

STAGES = frozenset({"stages", "bn"})
PARALLEL = frozenset({"data-parallel"})
PAPERS = {
    "k-reciprocal": Paper(
        title="Re-ranking Person Re-identification with k-reciprocal Encoding",
        venue="CVPR 2017",
        url="https://arxiv.org/abs/1701.08398",
        code="https://github.com/zhunzhong07/person-re-ranking",
        code_licence="none stated",
        deviations=("junk is left out before re-ranking", "computed sparsely and in blocks; equal to 1e-5"),
    ),
    "query-expansion": Paper(
        title="Fine-tuning CNN Image Retrieval with No Human Annotation",
        venue="TPAMI 2019",
        url="https://arxiv.org/abs/1711.02512",
        code="https://github.com/JDAI-CV/fast-reid (among: all)",
        code_licence="Apache-2.0",
        deviations=(
            "no code of the paper is followed: queries take gallery neighbours, once; among: all, k: qe_k - 1, "
            "times: qe_times is fast-reid's form",
            "neighbours with a similarity below 0 get weight 0; in fast-reid a negative or undefined weight",
            "a query is not expanded by its own image in the gallery",
        ),
    ),
}


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield the backbones of this plugin."""
    yield Component(
        "resnet-tiny",
        "reidbench_baseline.resnet:resnet_tiny",
        TinyParams,
        version=2,
        summary="residual network of 0.26 million parameters for 64x32 on a CPU",
        capabilities=STAGES,
    )
    for name, target, network, paper in (
        ("resnet18", "resnet:resnet18", "torchvision's ResNet-18", RESNET),
        ("resnet50", "resnet:resnet50", "torchvision's ResNet-50", RESNET),
        ("resnet101", "resnet:resnet101", "torchvision's ResNet-101", RESNET),
        ("resnext50", "resnet:resnext50", "torchvision's ResNeXt-50 32x4d", RESNEXT),
        ("se-resnet50", "seresnet:se_resnet50", "timm's SE-ResNet-50", SENET),
    ):
        yield Component(
            name,
            f"reidbench_baseline.{target}",
            ResNetParams,
            version=2,
            summary=f"{network} with last stride 1",
            capabilities=STAGES,
            traits=ResNetParams.traits,
            protocol=ResNetParams.supervision,
            paper=paper,
        )
    yield from transformers.backbones()
    yield from declared.backbones()


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the supervised methods and two that train nothing."""
    yield Component(
        "none",
        "reidbench_baseline.frozen:keep_backbone",
        NoneParams,
        summary="the backbone's features, unchanged",
        traits=frozenset({"label-free", "seedless"}),
    )
    yield Component(
        "colour-histogram",
        "reidbench_baseline.frozen:colour_histogram",
        HistogramParams,
        summary="colour histograms of horizontal stripes, a lower bound without training",
        traits=frozenset({"label-free", "backbone-free", "seedless"}),
    )
    yield Component(
        "bot",
        "reidbench_baseline.bot:finetune",
        BotParams,
        summary="Bag of Tricks: BNNeck, label smoothing, batch-hard triplet, warm-up, random erasing",
        traits=PARALLEL,
        requires=BotParams.required,
        protocol=BotParams.protocol,
        paper=BOT,
        presets=presets.BOT,
        rehearsal=presets.FEW_IN_ONE_PART,
        workload="reidbench_baseline.workload:bot",
    )
    yield Component(
        "distill",
        "reidbench_baseline.distill:finetune",
        DistillParams,
        summary="BoT whose logits also follow those of a teacher, a larger network trained on the same source",
        traits=PARALLEL,
        requires=DistillParams.required,
        protocol=DistillParams.protocol,
        paper=DISTILL,
        presets=presets.DISTILL,
        rehearsal=presets.FEW_IN_ONE_PART,
        workload="reidbench_baseline.workload:bot",
    )
    yield Component(
        "bdb",
        "reidbench_baseline.bdb:finetune",
        BdbParams,
        summary="Batch DropBlock: a global branch, and one that drops the same rows in a whole batch",
        requires=frozenset({"stages"}),
        protocol=BdbParams.protocol,
        paper=BDB,
        presets=presets.BDB,
        rehearsal=presets.FEW_IN_ONE_PART,
        workload="reidbench_baseline.workload:bdb",
    )
    yield Component(
        "mgn",
        "reidbench_baseline.mgn:finetune",
        MgnParams,
        summary="Multiple Granularity Network: three copies of the last stages for the whole image, halves and thirds",
        requires=frozenset({"stages"}),
        protocol=MgnParams.protocol,
        paper=MGN,
        presets=presets.MGN,
        rehearsal=presets.FEW_IN_ONE_PART,
        workload="reidbench_baseline.workload:mgn",
    )
    yield Component(
        "mgn-luperson",
        "reidbench_baseline.mgn_luperson:finetune",
        MgnLupersonParams,
        summary="MGN in LUPerson's variant: GeM, circle softmax, five triplets; first epochs train the heads only",
        requires=frozenset({"stages"}),
        protocol=MgnLupersonParams.protocol,
        paper=MGN_LUPERSON,
        presets=presets.MGN_LUPERSON,
        rehearsal=presets.FEW,
        workload="reidbench_baseline.workload:mgn_luperson",
    )


@hookimpl
def reidbench_pretrainers() -> Iterator[Component]:
    """Yield the sources of a backbone's weights before fine-tuning."""
    yield Component(
        "moco-v2",
        "reidbench_baseline.moco:pretrain",
        MocoParams,
        summary="MoCo v2 with shuffle-BN on one device or several; presets of MoCo and of LUPerson",
        traits=PARALLEL,
        requires=frozenset({"bn"}),
        paper=MOCO,
        presets=presets.MOCO,
        rehearsal=presets.FEW_OF_A_POOL,
        workload="reidbench.training.contrastive.workload:workload",
    )
    yield Component(
        "supervised",
        "reidbench_baseline.supervised:pretrain",
        SupervisedParams,
        summary="BoT, trained on the labels of the task's auxiliary data",
        traits=frozenset({"pool-free"}) | PARALLEL,
        requires=SupervisedParams.required,
        protocol=frozenset({"auxiliary"}),
        presets=presets.BOT,
        rehearsal=presets.FEW_IN_ONE_PART,
        workload="reidbench_baseline.workload:supervised",
    )
    yield Component(
        "weights",
        "reidbench_baseline.weights:pretrain",
        WeightsParams,
        version=2,
        summary="a checkpoint file: torchvision, MoCo, LUPerson, fast-reid, torchreid, BoT, BDB, MGN or SpCL names",
        traits=frozenset({"pool-free", "seedless"}),
        protocol=WeightsParams.supervision,
    )


RANKED = fractions("mAP", "mINP", "cmc1", "cmc5", "cmc10", "cmc20", "score")


@hookimpl
def reidbench_evaluators() -> Iterator[Component]:
    """Yield the retrieval protocols."""
    for name, function, params, summary in (
        ("cosine", "cosine", RankingParams, "cosine distance: exact CMC, mAP and mINP with the market1501 camera rule"),
        ("euclidean", "euclidean", RankingParams, "Euclidean distance of features that are not normalised"),
        ("k-reciprocal", "k_reciprocal", ReciprocalParams, "re-ranking with k-reciprocal neighbours (Zhong et al.)"),
        ("query-expansion", "query_expansion", ExpansionParams, "alpha query expansion, then cosine distance"),
    ):
        yield Component(
            name,
            f"reidbench_baseline.evaluators:{function}",
            params,
            version=2,
            summary=summary,
            requires=params.required,
            protocol=params.protocol,
            metrics=RANKED,
            paper=PAPERS.get(name),
            presets=PROTOCOLS if params is RankingParams else {},
        )
