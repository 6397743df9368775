"""`reidbench plugins`, `new`, `new-results` and `check`: which plugins there are, what to start from, and contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption, Kind, WithoutOption, positive

app = typer.Typer()


@app.command("plugins")
def list_plugins(as_json: JsonOption = False, without: WithoutOption = None) -> None:
    """What plugins are there, from where; what failed to load and why."""
    from reidbench.registry import plugins

    registry = plugins.load(frozenset(without or ()))
    found = plugins.report(registry)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    for plugin in found["plugins"]:
        print(plugins.printable(f"{plugin['name']} ({plugin['version']}) {plugin['file']}"))
        for component in plugin["components"]:
            print(plugins.printable(f"  {component['kind']:<10} {component['name']:<20} {component['summary']}"))
            if component["missing"]:
                print(plugins.printable(f"  {'':<31} {component['missing']}"))
    for broken in found["broken"]:
        print(f"{plugins.printable(broken['name'])}: NOT LOADED")
        print("\n".join(f"  {plugins.printable(line)}" for line in broken["traceback"].splitlines()))


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


@app.command("new-results")
def new_results(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to: a new folder, or an empty clone.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the board is called. Default: the folder's name.")
    ] = None,
) -> None:
    """Write a repository of results to start from: packs are verified for each pull request, and shown as a site."""
    from reidbench.scaffold import results

    written = results.write(folder, name)
    print(f"{written}: a repository of results")
    print(f"add one: reidbench pack FILE --features -o {written / 'packs' / 'NAME.zip'}")
    print(f"{written / 'README.md'} says how to publish it, {written / 'SUBMITTING.md'} how others add theirs")


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
