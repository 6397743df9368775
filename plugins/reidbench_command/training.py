"""Fine-tuner and adapter: `train` runs in a separate folder, which becomes part of the artifact."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from reidbench import AdaptContext, Context, FinetuneContext, HiddenSplit, Split
from reidbench.errors import ReidbenchError
from reidbench.training import Preprocess

from .embedder import MODEL, CommandEmbedder
from .folders import workplace, write_cameras, write_hidden, write_source
from .params import AdaptParams, CommandParams, FinetuneParams
from .program import run
from .template import placeholders


def finetune(ctx: FinetuneContext[FinetuneParams]) -> CommandEmbedder:
    """Train on the labelled source if a command is given."""
    _note_unlisted(ctx)
    if ctx.params.train is not None:
        _train(ctx, ctx.params.train, ctx.source, None)
    return CommandEmbedder(Preprocess(ctx.image_size))


def adapt(ctx: AdaptContext[AdaptParams]) -> CommandEmbedder:
    """Train on the target's images, and on the labelled source if the command uses it.

    Raises ReidbenchError after another step, since a program cannot read its network.
    """
    if ctx.start is not None:
        raise ReidbenchError("adapter command cannot continue from another step; remove that step and use {source}")
    _note_unlisted(ctx)
    _train(ctx, ctx.params.train, ctx.source, ctx.target)
    return CommandEmbedder(Preprocess(ctx.image_size))


def _train(ctx: Context[Any], command: str, source: Split | None, target: HiddenSplit | None) -> None:
    """Run `train` and keep its folder. Raises ReidbenchError if the folder is empty."""
    params: CommandParams = ctx.params
    asked = placeholders(command)
    with workplace(ctx.scratch, resumable=params.resumable) as (given, out):
        values = {"out": out, "seed": ctx.seed, "source": given / "source", "target": given / "target"}
        if "source" in asked and source is not None:
            write_source(source, given / "source", ctx.seed, params.layout)
        if target is not None:
            names = write_hidden(target, given / "target", ctx.seed)
            if "cameras" in asked:
                values["cameras"] = given / "cameras.csv"
                write_cameras(given / "cameras.csv", names, target.camids)
        run(ctx, "train", {name: str(value) for name, value in values.items()})
        if not any(path.is_file() for path in out.rglob("*")):
            raise ReidbenchError("train succeeded but wrote no file into {out}")
        out.rename(ctx.out / MODEL)


def _note_unlisted(ctx: Context[Any]) -> None:
    """Note the paths in the commands whose content is not part of the key."""
    params: CommandParams = ctx.params
    listed = [path.resolve() for path in params.files]
    for word in _paths(params):
        path = (params.folder / word).resolve()
        if not any(path.is_relative_to(place) for place in listed):
            ctx.note(f"{word} is used in a command but not listed under `files`: changes to it are not detected")


def _paths(params: CommandParams) -> list[str]:
    """Return the words of the commands, or the parts after `=` in them, that are files or folders.

    If there is a lock file, a command's first word is skipped: it is an interpreter, which the lock file describes.
    """
    found: dict[str, None] = {}
    for command in filter(None, (params.extract, params.train)):
        first, *words = shlex.split(command)
        words += [first] if "/" in first and params.lock is None else []
        parts = [word.rpartition("=")[2] for word in words]
        found |= dict.fromkeys(part for part in parts if part and _exists(params.folder / part))
    return list(found)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is not valid for files
        return False
