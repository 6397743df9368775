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


@hookimpl
def reidbench_finetuners():
    yield Component("faulty", "faulty_plugin:finetune", FaultyParams)


@hookimpl
def reidbench_evaluators():
    yield Component("faulty-score", "faulty_plugin:score", ScoreParams)


def tell(line):
    if os.environ.get("FAULTS_LOG"):
        with Path(os.environ["FAULTS_LOG"]).open("a") as log:
            log.write(line + "\n")


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
    if ctx.params.fault == "nan_features":
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.fill_(float("nan"))
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


def score(ctx):
    tell("score")
    return Metrics({"mAP": float(ctx.params.value)}, {}, {})
