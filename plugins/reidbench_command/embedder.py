"""The embedder that a program is: it is called once, with the pictures of query and gallery in one folder."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np

from reidbench import EmbedContext
from reidbench.training import Preprocess, SplitEmbedder

from .features import read_features
from .folders import workplace, write_cameras, write_hidden
from .params import CommandParams
from .program import run

MODEL = "model"  # folder of the artifact that holds what `train` left


class CommandEmbedder(SplitEmbedder):
    """Runs `extract`. It has no weights; what the program has learned is in the folder of its artifact."""

    def __init__(self, preprocess: Preprocess | dict[str, Any]) -> None:
        super().__init__(preprocess=preprocess)

    def embed_split(self, ctx: EmbedContext[CommandParams]) -> np.ndarray:
        """Features [N, D] float32. Raises ReidbenchError for a program that fails, DataError for what it writes."""
        with workplace(ctx.scratch, resumable=ctx.params.resumable) as (given, out):
            names = write_hidden(ctx.images, given / "images", ctx.seed)
            values = {"images": given / "images", "out": out, "seed": ctx.seed, "model": given / MODEL}
            if ctx.params.train is not None:  # a copy: what a program writes there must not damage the artifact
                shutil.copytree(ctx.model / MODEL, given / MODEL)
            if ctx.params.cameras:
                values["cameras"] = given / "cameras.csv"
                write_cameras(given / "cameras.csv", names, ctx.images.camids)
            run(ctx, "extract", {name: str(value) for name, value in values.items()})
            return read_features(out, names)
