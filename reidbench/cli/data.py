"""`reidbench data`: render a synthetic set, check a copy of a published one, make a manifest of own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import whole

app = typer.Typer(name="data", help="Data sets: check a copy, render one, label your own.", no_args_is_help=True)


@app.callback()
def _options() -> None:
    """Data sets: check a copy, render one, label your own."""


@app.command()
def make(
    world: Annotated[str, typer.Argument(help="plaza, station, ...; `reidbench show dataset synthetic` lists them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to make.")],
    size: Annotated[str, typer.Option(help="tiny, small, medium or full.")] = "small",
    seed: Annotated[int, typer.Option(parser=whole(0), help="Another seed, other persons.")] = 0,
    structure: Annotated[bool, typer.Option("--structure", help="Also write structure maps at eight angles.")] = False,
) -> None:
    """Render a synthetic set into a Market-1501-style folder, with labels.csv where its world has more labels."""
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


@app.command()
def manifest(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your pictures, in it or below.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The CSV file to write; FILE.map.json beside it has names.")],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="What the names tell: 'cam{camid}_person{pid}_{}.jpg', '{pid}/{camid}_*.png'. {} is anything, * also "
            "nothing. With a / of the whole path below FOLDER, else of the file's name. {clothes}, {modality} and "
            "{tracklet} are labels too."
        ),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option(help="Instead, a regular expression of the whole path, with groups (?P<pid>...), (?P<camid>...)."),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="What tells cameras apart, of several fields: '{store}-{camid}'.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="Persons for training: '70% identities', '100 identities', none (all are tested) or train."),
    ] = "50% identities",
    seed: Annotated[int, typer.Option(parser=whole(0), help="Another seed, other training persons and queries.")] = 0,
    distractors: Annotated[
        str | None, typer.Option(metavar="PID", help="The {pid} of pictures of nobody who is asked for.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse pictures whose names do not match or that cannot be decoded.")
    ] = False,
) -> None:
    """Write a CSV manifest of your own pictures, which `use: csv-manifest` reads, and check it.

    Ends with 1 when the labels contradict each other.
    """
    from . import manifests

    wanted = manifests.Wanted(pattern, regex, camera, split, seed, distractors, strict)
    if not manifests.make(folder, out, wanted):
        raise typer.Exit(1)
