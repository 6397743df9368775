"""A plugin to rehearse: a data set with a stand-in, and trainings that can be shortened, fail, or request too much.

Tests copy this file into a plugin folder.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from reidbench import Component, FileParam, Params, Uses, Workload, hookimpl
from reidbench.components import ContentHashed
from reidbench.data import Counts, Published
from reidbench.errors import DataError
from reidbench.testing import write_market_folder


class PeopleParams(Params):
    identities: int = 3


class ShortParams(Params):
    epochs: int = 200
    batch: int = 32
    shift: float = 0.0
    accumulate: int = 1


class StyleParams(Params):
    steps: int = 1000


class PicturesParams(Params):
    folder: Annotated[Path, ContentHashed(folder=True, stand_in="rehearsed_plugin:pictures")]


class ListedParams(Params):
    file: FileParam


class StyledParams(Params):
    style: Uses["preparer", "target"] = Field({"use": "style"})
    rounds: int = 50


@hookimpl
def reidbench_backbones():
    yield Component("hand", "rehearsed_plugin:hand")


@hookimpl
def reidbench_datasets():
    from reidbench_datasets import reidbench_datasets as built_in

    market = next(one for one in built_in() if one.name == "market-folder")
    common = {"requires": {"root"}, "fingerprint": market.fingerprint}
    yield Component("people", "rehearsed_plugin:read", PeopleParams, stand_in="rehearsed_plugin:stand_in", **common)
    yield Component("nobody", "rehearsed_plugin:read", PeopleParams, **common)
    yield Component("broken", "rehearsed_plugin:read", PeopleParams, stand_in="rehearsed_plugin:cannot", **common)


@hookimpl
def reidbench_preparers():
    yield Component("style", "rehearsed_plugin:prepare", StyleParams, rehearsal={"steps": 2})
    yield Component("pictures", "rehearsed_plugin:count_pictures", PicturesParams)
    yield Component("listed", "rehearsed_plugin:prepare", ListedParams)


@hookimpl
def reidbench_finetuners():
    short = {"rehearsal": {"epochs": 1, "batch": 4}, "workload": "rehearsed_plugin:workload"}
    short["traits"] = {"data-parallel"}
    yield Component("short", "rehearsed_plugin:finetune", ShortParams, **short)
    yield Component("looking", "rehearsed_plugin:finetune", ShortParams, protocol={"validation"}, **short)
    yield Component("long", "rehearsed_plugin:finetune", ShortParams, traits={"data-parallel"})
    yield Component(
        "doubtful",
        "rehearsed_plugin:finetune",
        ShortParams,
        workload="rehearsed_plugin:cannot",
        traits={"data-parallel"},
    )
    yield Component("lost", "rehearsed_plugin:fail", ShortParams, rehearsal={"epochs": 1})
    yield Component("absent", "no_such_package_at_all.training:finetune", ShortParams, rehearsal={"epochs": 1})
    yield Component("tokens-only", "rehearsed_plugin:finetune", ShortParams, requires={"tokens"})


@hookimpl
def reidbench_adapters():
    yield Component("styled", "rehearsed_plugin:adapt", StyledParams, rehearsal={"rounds": 1})


def read(params, root, cache):
    from reidbench_datasets.market import open_folder
    from reidbench_datasets.params import FolderParams

    parts = {"train": Counts(1000, 50, 4), "query": Counts(10, 5, 4), "gallery": Counts(90, 5, 4)}
    return replace(open_folder(FolderParams(), root, cache), published=Published(parts, "written by hand"))


def hand(params, image_size):
    """A 1x1 convolution of 3 to 4 channels with a bias, batch norm, ReLU and sums: 24 parameters."""
    import torch

    from reidbench.training import Backbone, Features

    class Hand(Backbone):
        dim = 4

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.ReLU())

        def forward(self, images):
            found = self.layers(images)
            return Features(found, found.sum((2, 3)))

    return Hand()


def stand_in(params, folder):
    return write_market_folder(folder / "released", identities=params.identities)


def cannot(params, folder):
    raise DataError("the disk is made of cheese")


def pictures(params, folder, names):
    for name in names:
        (folder / Path(name).name).write_bytes(b"a picture")
    return folder


def workload(params, amounts):
    """Epochs of full batches of the source."""
    return Workload(params.epochs * (amounts["source"].images // params.batch), params.batch)


def prepare(ctx):
    (ctx.out / "steps.json").write_text(json.dumps(ctx.params.steps))


def count_pictures(ctx):
    count = len(list(ctx.params.folder.iterdir()))
    if count != len(ctx.split):
        raise DataError(f"{count} pictures for {len(ctx.split)} images")
    (ctx.out / "steps.json").write_text(json.dumps(count))


def finetune(ctx):
    from reidbench.training import BackboneEmbedder, Preprocess

    (ctx.out / "params.json").write_text(ctx.params.model_dump_json())
    backbone = ctx.backbone()
    for parameter in backbone.parameters():
        parameter.data += ctx.params.shift
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


def fail(ctx):
    raise RuntimeError("the loss is not a number")


def adapt(ctx):
    steps = json.loads((ctx.prepared["style"] / "steps.json").read_text())
    (ctx.out / "params.json").write_text(json.dumps({"rounds": ctx.params.rounds, "steps": steps}))
    return ctx.start
