"""`reidbench new` and `reidbench check`: a plugin to start from, and whether one keeps the contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Kind, positive

app = typer.Typer()


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the component is called, like mean-colour.", show_default=False)],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to. Default: reidbench-NAME, here.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="What kind of component it has.")] = "finetuner",
) -> None:
    """Write a plugin package to start from: a component of any kind that works, its tests, its README."""
    from reidbench import scaffold

    written = scaffold.write(name, folder, kind)
    words, chosen = scaffold.names(name), scaffold.KINDS[kind]
    print(f"{written}: a plugin with the {chosen.what} {words['name']}")
    print(f"its tests pass: pip install -e '{written}[test]' && pytest {written}")
    place = written / words["module"] / f"{chosen.code}.py"
    print(f"your {'method' if kind == 'finetuner' else chosen.what} goes into {place}; then: reidbench check {written}")


@app.command()
def check(
    plugin: Annotated[
        str,
        typer.Argument(help="A plugin of `reidbench plugins`, its module, or the path of one.", show_default=False),
    ],
    only: Annotated[str | None, typer.Option(metavar="NAME", help="Only this component.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the results beside the code, for the next check to compare.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", parser=positive, help="A step that takes longer has failed.")
    ] = 600.0,
) -> None:
    """Try every component of a plugin on tiny data: shapes, determinism, resume, global state, files, version.

    One line for each. Ends with 1 when a contract is broken.
    """
    from reidbench.check import check_plugin

    report = check_plugin(
        plugin, only=only, keep_record=record, tell=lambda line: print(line, flush=True), timeout=timeout
    )
    counts = [sum(line.status == status for line in report.lines) for status in ("ok", "skipped", "failed")]
    print("{} ok, {} skipped, {} failed".format(*counts))
    if report.failures:
        raise typer.Exit(1)
