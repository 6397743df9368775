"""`reidbench data`: render a synthetic set into a folder, check a copy of a published one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import whole

app = typer.Typer(name="data", help="Data sets: check a copy, render one.", no_args_is_help=True)


@app.callback()
def _options() -> None:
    """Data sets: check a copy, render one."""


@app.command()
def make(
    world: Annotated[str, typer.Argument(help="plaza, station, ...; `reidbench show dataset synthetic` lists them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to make.")],
    size: Annotated[str, typer.Option(help="tiny, small, medium or full.")] = "small",
    seed: Annotated[int, typer.Option(parser=whole(0), help="Another seed, other persons.")] = 0,
    structure: Annotated[bool, typer.Option("--structure", help="Also write structure maps at eight angles.")] = False,
) -> None:
    """Render a synthetic set into a Market-1501-style folder."""
    from . import copies

    copies.make({"world": world, "size": size, "seed": seed, "structure": structure}, out)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A data set of `reidbench plugins`, like market1501.")],
    root: Annotated[Path, typer.Argument(help="Where your copy lies: a folder, an archive or a file.")],
    full: Annotated[
        bool, typer.Option("--full", help="Hash every file again and decode every picture, whatever was read before.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter of the data set: --set train=trainval")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A whole copy, or a text file with its paths, to name what is missing.")
    ] = None,
) -> None:
    """Compare a copy of a data set with the published counts, and name what differs.

    Ends with 1 when something is certainly wrong. Unverified counts are shown with a question mark and never do.
    """
    from . import copies

    if not copies.check(name, root, settings or [], against, full=full):
        raise typer.Exit(1)
