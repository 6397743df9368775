"""Components that fail on request, and write down each epoch that they run."""

import os
import time
from pathlib import Path

from reidbench import Component, Metrics, Params, hookimpl


class FaultyParams(Params):
    epochs: int = 3
    seconds: float = 0.0
    fault: str = ""


class ScoreParams(Params):
    value: str = "0.5"
    answer: str = ""


@hookimpl
def reidbench_finetuners():
    yield Component("faulty", "faulty_plugin:finetune", FaultyParams)


@hookimpl
def reidbench_backbones():
    yield Component("faulty-network", "faulty_plugin:network", ScoreParams)


@hookimpl
def reidbench_evaluators():
    yield Component("faulty-score", "faulty_plugin:score", ScoreParams)


def tell(line):
    if os.environ.get("FAULTS_LOG"):
        with Path(os.environ["FAULTS_LOG"]).open("a") as log:
            log.write(line + "\n")


def forgetful(backbone, preprocess):
    """An embedder that did not hand on what its constructor takes."""
    from reidbench.training import Embedder

    class Forgetful(Embedder):
        def __init__(self, backbone, preprocess, bins):
            super().__init__(backbone=backbone, preprocess=preprocess)
            self.backbone = backbone

    Forgetful.__qualname__ = "Forgetful"
    globals()["Forgetful"] = Forgetful
    return Forgetful(backbone, preprocess, 4)


def finetune(ctx):
    import torch

    from reidbench.training import BackboneEmbedder, Preprocess

    if ctx.params.fault:
        import faults_of_plugins

        getattr(faults_of_plugins, ctx.params.fault)(ctx)
    backbone = ctx.backbone()
    for epoch in ctx.checkpoint.epochs(ctx.params.epochs, backbone=backbone):
        tell(f"{ctx.seed} {epoch}")
        if os.environ.get("FAULTS_STOP_AT") == str(epoch):
            raise RuntimeError("stopped on request")
        time.sleep(ctx.params.seconds)
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter += 0.01 * torch.randn(parameter.shape)
    if ctx.params.fault == "cannot_be_rebuilt":
        return forgetful(backbone, Preprocess(ctx.image_size))
    if ctx.params.fault == "nan_features":
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.fill_(float("nan"))
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


def network(params, image_size):
    raise StopIteration("no layers")


def score(ctx):
    import numpy as np

    tell("score")
    queries = len(ctx.query.pids)
    answers = {
        "objects": ({"mAP": 0.5}, {"ap": np.array([None] * queries)}, {}),
        "ragged": ({"mAP": 0.5}, {"ap": [[1], [1, 2]]}, {}),
        "short": ({"mAP": 0.5}, {"ap": np.zeros(1)}, {}),
        "reserved": ({"mAP": 0.5}, {"file": np.zeros(queries)}, {}),
        "path": ({"mAP": 0.5}, {"../ap": np.zeros(queries)}, {}),
        "column": ({"status": 0.5}, {}, {}),
        "text": ({"mAP": "0.5"}, {}, {}),
        "percent": ({"mAP": 45.2}, {}, {}),
        "rank": ({"cmc7": 1.01}, {}, {}),
        "notes": ({"mAP": 0.5}, {}, {"set": {1, 2}}),
        "list": ([0.5], {}, {}),
    }
    if ctx.params.answer:
        return Metrics(*answers[ctx.params.answer])
    return Metrics({"mAP": float(ctx.params.value)}, {}, {})
