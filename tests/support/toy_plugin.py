"""The toy plugin: components of every kind that record their inputs, and fail on request.

Tests copy this file into a plugin folder: see the fixture `site`.
"""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np

from reidbench import Component, Params, Selection, Uses, hookimpl
from reidbench.errors import DataError
from reidbench_baseline.params import BotParams

PARALLEL = frozenset({"data-parallel"})


class Base(BaseException):
    pass


class Mute(Exception):
    def __str__(self):
        raise Base


RAISED = {
    "raise": RuntimeError("it went wrong"),
    "base": Base("my own words"),
    "mute": Mute(),
    "leave": SystemExit(0),
    "interrupt": KeyboardInterrupt(),
}


class ToyParams(Params):
    epochs: int = 3
    seconds: float = 0.0  # duration of an epoch
    fail: str = ""


class SharedParams(Params):
    how: str = "well"
    steps: int = 1
    pause: float = 0.0


class SeeingParams(Params):
    see: tuple[str, ...] = ()

    def words(self):
        return frozenset(self.see)


class StyleParams(Params):
    strength: int = 1


class StyledParams(Params):
    style: Uses["preparer", "target"]


class ProxyParams(Params):
    proxy: Uses["pretrainer", "pool"]
    tuned: Uses[("finetuner", "pretrainer"), "target", "proxy"]


@hookimpl
def reidbench_selectors():
    yield Component("first-half", "toy_plugin:select")
    yield Component("peeking", "toy_plugin:select", protocol=frozenset({"target-labels"}))
    yield Component("knower", "toy_plugin:oracle", protocol=frozenset({"truth"}))
    yield Component("proxied", "toy_plugin:proxied", ProxyParams)


@hookimpl
def reidbench_pretrainers():
    yield Component("ones", "toy_plugin:pretrain")
    yield Component("knowing", "toy_plugin:pretrain", protocol=frozenset({"truth"}))
    yield Component("aux", "toy_plugin:pretrain", protocol=frozenset({"auxiliary"}))
    yield Component("together", "toy_plugin:together", SharedParams, traits=PARALLEL)
    yield Component("alone", "toy_plugin:alone", SharedParams)


@hookimpl
def reidbench_preparers():
    yield Component("style", "toy_plugin:prepare", StyleParams)


@hookimpl
def reidbench_finetuners():
    yield Component("toy", "toy_plugin:finetune", ToyParams)
    yield Component("tuned", "reidbench_baseline.bot:finetune", BotParams, traits=PARALLEL)
    yield Component("looking", "toy_plugin:look", protocol=frozenset({"validation"}))
    yield Component("labelled", "toy_plugin:look_at_source", SeeingParams, protocol=SeeingParams.words)


@hookimpl
def reidbench_adapters():
    yield Component("styled", "toy_plugin:adapt_styled", StyledParams)
    yield Component("plain", "toy_plugin:adapt_plain")
    yield Component("labelled-more", "toy_plugin:look_at_target", SeeingParams, protocol=SeeingParams.words)
    yield Component("grouped", "toy_plugin:adapt_grouped")
    yield Component("seeing", "toy_plugin:adapt_seeing", requires={"truth", "cameras"}, protocol={"truth"})


def tell(ctx, **facts):
    (ctx.out / "facts.json").write_text(json.dumps({"seed": ctx.seed, **facts}))


# ---------------------------------------------------------------------- selectors
def select(ctx):
    target = ctx.target is not None and len(ctx.target.pids)
    tell(ctx, pool=len(ctx.pool), hidden=not hasattr(ctx.pool, "pids"), target=target)
    scores = np.arange(len(ctx.pool), dtype=float)
    return Selection(np.flatnonzero(scores < len(scores) / 2), scores)


def oracle(ctx):
    relevant = np.array([ctx.truth.relevance(index) for index in range(len(ctx.pool))], dtype=float)
    tell(ctx, relevant=relevant.sum())
    return Selection(np.flatnonzero(relevant), relevant)


def proxied(ctx):
    proxy, tuned = ctx.network("proxy"), ctx.network("tuned")
    pairs = zip(proxy.parameters(), tuned.backbone.parameters(), strict=True)
    first = float(next(proxy.parameters()).detach().flatten()[0])
    tell(ctx, proxy=first, tuned=type(tuned).__name__, equal=all(bool((a == b).all()) for a, b in pairs))
    return Selection(np.arange(4), np.zeros(len(ctx.pool)))


# ---------------------------------------------------------------------- pretrainers
def pretrain(ctx):
    backbone = ctx.backbone()
    known = {}
    if ctx.truth is not None:
        known["relevant"] = sum(bool(ctx.truth.relevance(index)) for index in range(len(ctx.pool)))
    tell(ctx, pool=len(ctx.pool), auxiliary=ctx.auxiliary is not None and ctx.auxiliary.num_pids, **known)
    for parameter in backbone.parameters():
        parameter.data.fill_(0.5)
    return backbone


def together(ctx):
    """Move weights by a value that depends on all processes' generators; one process may end before the others."""
    import torch

    from reidbench.training.devices import average, this_share

    share, network, fabric = this_share(), ctx.backbone(), ctx.fabric
    tell(ctx, rank=share.rank, ranks=share.ranks, world=fabric.world_size, device=str(fabric.device))
    (ctx.scratch / f"pid-{share.rank}").write_text(str(os.getpid()))
    for epoch in ctx.checkpoint.epochs(ctx.params.steps, network=network):
        time.sleep(ctx.params.pause)
        drawn = average(torch.rand(1))
        for weight in network.parameters():
            weight.data.add_(drawn, alpha=1e-3)
        ctx.log({"epoch": epoch, "drawn": float(drawn)})
    if share.rank == 1:
        end(ctx.params.how)
    average(torch.zeros(1))  # the others wait here for one that never comes
    return network


def alone(ctx):
    return ctx.backbone()


def end(how):
    if how == "error":
        raise DataError("the second of them found nothing")
    if how == "exit":
        os._exit(7)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def detach():
    """Start a child in a new session, whose parent ends. Its process ID is the line of the log."""
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            Path(os.environ["REIDBENCH_TOY_LOG"]).write_text(str(os.getpid()))
            os.write(writing, b".")
            time.sleep(3600)
        os._exit(0)
    os.waitpid(middle, 0)
    os.read(reading, 1)


# ---------------------------------------------------------------------- preparers, fine-tuners, adapters
def prepare(ctx):
    tell(ctx, images=len(ctx.split), strength=ctx.params.strength, hidden=not hasattr(ctx.split, "pids"))
    (ctx.out / "style.txt").write_text("style")


def finetune(ctx):
    import torch

    from reidbench.training import BackboneEmbedder, Preprocess

    fail = ctx.params.fail
    if fail in RAISED:
        raise RAISED[fail]
    if fail == "none":
        return None
    if fail == "progress":
        ctx.progress("half", float("nan"))
    if fail == "detach":
        detach()
    end("kill" if fail == "detach" else fail)
    backbone = ctx.backbone()
    for epoch in ctx.checkpoint.epochs(ctx.params.epochs, backbone=backbone):
        if "REIDBENCH_TOY_LOG" in os.environ:
            with Path(os.environ["REIDBENCH_TOY_LOG"]).open("a") as log:
                log.write(f"{ctx.seed} {epoch}\n")
        for step in range(10):
            time.sleep(ctx.params.seconds / 10)
            ctx.progress(step + 1, 10)
        for parameter in backbone.parameters():
            parameter.data += 0.01 * torch.randn(parameter.shape)
        ctx.log({"epoch": epoch})
    if fail == "nan":
        for parameter in backbone.parameters():
            parameter.data.fill_(float("nan"))
    print("the toy is done")
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


def adapt_styled(ctx):
    style = (ctx.prepared["style"] / "style.txt").read_text()
    tell(ctx, style=style, target=len(ctx.target), source=ctx.source is not None)
    return ctx.start


def look(ctx):
    pairs = [[sorted({int(pid) for pid in split.pids}) for split in pair] for pair in ctx.validation]
    tell(ctx, source=sorted({int(pid) for pid in ctx.source.pids}), validation=pairs)
    return untrained(ctx)


def more_labels(split):
    columns = {"clothes": split.clothes, "modality": split.modality, "tracklets": split.tracklets}
    found = {name: sorted({str(value) for value in column}) for name, column in columns.items() if column is not None}
    return found | {name: sorted(set(column)) for name, column in split.attributes.items()}


def look_at_source(ctx):
    tell(ctx, source=more_labels(ctx.source))
    return untrained(ctx)


def look_at_target(ctx):
    tell(ctx, source=more_labels(ctx.source), target=more_labels(ctx.target))
    return ctx.start


def adapt_seeing(ctx):
    tell(ctx, seen=[ctx.truth.mask(index).shape for index in range(len(ctx.target))])
    return untrained(ctx)


def untrained(ctx):
    from reidbench.training import BackboneEmbedder, Preprocess

    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))


def adapt_plain(ctx):
    from reidbench.training import BackboneEmbedder, Preprocess

    backbone = ctx.backbone()
    weights = {float(p.detach().flatten()[0]) for p in backbone.parameters()}
    tell(ctx, start=ctx.start is not None, weights=sorted(weights), target=len(ctx.target))
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


def adapt_grouped(ctx):
    assert not hasattr(ctx.target, "pids")
    assert not hasattr(ctx.target, "paths")
    ctx.record_clusters(0, np.arange(len(ctx.target)) // 4)
    return ctx.start
