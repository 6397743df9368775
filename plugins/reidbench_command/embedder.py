"""Embedder that calls a program once, with the images of query and gallery in one folder."""

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

MODEL = "model"  # folder of the artifact with the output of `train`


class CommandEmbedder(SplitEmbedder):
    """Runs `extract`. It has no weights; the trained model is in a folder of its artifact."""

    def __init__(self, preprocess: Preprocess | dict[str, Any]) -> None:
        super().__init__(preprocess=preprocess)

    def embed_split(self, ctx: EmbedContext[CommandParams]) -> np.ndarray:
        """Return features [N, D] float32. Raises ReidbenchError if the program fails, DataError for invalid output."""
        with workplace(ctx.scratch, resumable=ctx.params.resumable) as (given, out):
            names = write_hidden(ctx.images, given / "images", ctx.seed)
            values = {"images": given / "images", "out": out, "seed": ctx.seed, "model": given / MODEL}
            if ctx.params.train is not None:  # a copy, so that the program cannot change the artifact
                shutil.copytree(ctx.model / MODEL, given / MODEL)
            if ctx.params.cameras:
                values["cameras"] = given / "cameras.csv"
                write_cameras(given / "cameras.csv", names, ctx.images.camids)
            run(ctx, "extract", {name: str(value) for name, value in values.items()})
            return read_features(out, names)
