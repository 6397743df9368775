"""Fine-tuner and adapter: `train` runs in a folder of its own, which becomes a part of the artifact."""

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
    """Train on the labelled source, if there is a command for it."""
    _note_unlisted(ctx)
    if ctx.params.train is not None:
        _train(ctx, ctx.params.train, ctx.source, None)
    return CommandEmbedder(Preprocess(ctx.image_size))


def adapt(ctx: AdaptContext[AdaptParams]) -> CommandEmbedder:
    """Train on the target's pictures, and on the labelled source if the command asks for it.

    Raises ReidbenchError after another step, whose network no program can read.
    """
    if ctx.start is not None:
        raise ReidbenchError("adapter command starts from nothing: leave out the step before it, and ask for {source}")
    _note_unlisted(ctx)
    _train(ctx, ctx.params.train, ctx.source, ctx.target)
    return CommandEmbedder(Preprocess(ctx.image_size))


def _train(ctx: Context[Any], command: str, source: Split | None, target: HiddenSplit | None) -> None:
    """Run `train` and keep its folder. Raises ReidbenchError where it leaves nothing."""
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
            raise ReidbenchError("train ended well and left no file in {out}")
        out.rename(ctx.out / MODEL)


def _note_unlisted(ctx: Context[Any]) -> None:
    """Note the paths in the commands whose content does not enter the key."""
    params: CommandParams = ctx.params
    listed = [path.resolve() for path in params.files]
    for word in _paths(params):
        path = (params.folder / word).resolve()
        if not any(path.is_relative_to(place) for place in listed):
            ctx.note(f"{word} stands in a command and not under `files`: a change of it would not be noticed")


def _paths(params: CommandParams) -> list[str]:
    """The words of the commands, or what follows `=` in them, that are files or folders.

    Of a command that begins with a path the lock file speaks, if there is one: it is an interpreter's.
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
    except (OSError, ValueError):  # a name that no file can have
        return False
