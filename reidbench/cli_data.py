"""`reidbench data`: render a synthetic set into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from . import plugins
from .data import Dataset
from .errors import ReidbenchError
from .runner import cache_folder

app = typer.Typer(name="data", help="Data sets: render one.", no_args_is_help=True)


@app.callback()
def _options() -> None:
    """Data sets: render one."""


@app.command()
def make(
    world: Annotated[str, typer.Argument(help="plaza, station, ...; `reidbench show dataset synthetic` lists them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to make.")],
    size: Annotated[str, typer.Option(help="tiny, small, medium or full.")] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other persons.")] = 0,
    structure: Annotated[bool, typer.Option("--structure", help="Also write structure maps at eight angles.")] = False,
) -> None:
    """Render a synthetic set into a Market-1501-style folder."""
    component = plugins.load().get("dataset", "synthetic")
    try:
        params = component.params(**{"world": world, "size": size, "seed": seed, "structure": structure})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise ReidbenchError(f"{name}: {problem['msg'].lower()}, not {problem['input']!r}") from None
    with Progress(console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        bar = progress.add_task("rendering", total=None)
        dataset: Dataset = component.load()(
            params,
            out.absolute(),
            cache_folder(),
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    for part, split in dataset.parts().items():
        print(f"{part}: {len(split)} images, {split.num_pids} identities, {split.num_cameras} cameras")
    for note in dataset.notes:
        print(f"note: {note}")
