"""`reidbench data`: render a synthetic set, check a copy of a published one, create a manifest of your own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import whole

app = typer.Typer(name="data", help="Check, render and label data sets.", no_args_is_help=True)


@app.callback()
def _options() -> None:
    """Check, render and label data sets."""


@app.command()
def make(
    world: Annotated[
        str, typer.Argument(help="World: plaza, station, ...; `reidbench show dataset synthetic` lists them.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to create.")],
    size: Annotated[str, typer.Option(help="tiny, small, medium or full.")] = "small",
    seed: Annotated[int, typer.Option(parser=whole(0), help="Seed of the rendered persons.")] = 0,
    structure: Annotated[bool, typer.Option("--structure", help="Also write structure maps at eight angles.")] = False,
) -> None:
    """Render a synthetic data set in the Market-1501 layout, with a labels.csv if its world has more labels."""
    from . import copies

    copies.make({"world": world, "size": size, "seed": seed, "structure": structure}, out)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Data set as listed by `reidbench plugins`, for example market1501.")],
    root: Annotated[Path, typer.Argument(help="Your copy: a folder, an archive or a file.")],
    full: Annotated[
        bool, typer.Option("--full", help="Hash every file and decode every image, ignoring cached results.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Parameter of the data set, for example train=trainval. Repeatable."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A whole copy, or a text file with its paths, to list the missing files.")
    ] = None,
) -> None:
    """Compare a copy of a data set with the published counts and list the differences.

    Exit code 1 if the copy is wrong. Unverified counts are marked with a question mark and never fail the check.
    """
    from . import copies

    if not copies.check(name, root, settings or [], against, full=full):
        raise typer.Exit(1)


@app.command()
def manifest(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images, searched recursively.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="CSV file to write; the numbers' names go to FILE.map.json next to it.")
    ],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Pattern of the names, for example `cam{camid}_person{pid}_{}.jpg` or `{pid}/{camid}_*.png`. {} "
            "matches any text, `*` also empty text. A pattern with a / matches the whole path below FOLDER, any other "
            "the file name. {clothes}, {modality} and {tracklet} are labels too."
        ),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option(
            help="Regular expression of the whole path, instead of --pattern, with groups `(?P<pid>...)` and "
            "`(?P<camid>...)`."
        ),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Camera name composed of several fields, for example `{store}-{camid}`.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Identities for training: '70% identities', '100 identities', none (test on all) or train (all)."
        ),
    ] = "50% identities",
    seed: Annotated[
        int, typer.Option(parser=whole(0), help="Seed of the draw of training identities and queries.")
    ] = 0,
    distractors: Annotated[str | None, typer.Option(metavar="PID", help="The {pid} of distractor images.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if an image's name does not match or an image cannot be decoded.")
    ] = False,
) -> None:
    """Create a CSV manifest of your own images, for `use: csv-manifest`, and check it.

    Exit code 1 if the labels contradict each other.
    """
    from . import manifests

    wanted = manifests.Wanted(pattern, regex, camera, split, seed, distractors, strict)
    if not manifests.make(folder, out, wanted):
        raise typer.Exit(1)
