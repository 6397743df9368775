"""`reidbench plugins`, `new`, `new-results` and `check`: list, scaffold and check plugins, scaffold a results board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .options import JsonOption, Kind, WithoutOption, load_plugins, positive

app = typer.Typer()


@app.command("plugins")
def list_plugins(as_json: JsonOption = False, without: WithoutOption = None) -> None:
    """List plugins and their components, with their origin and load errors."""
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
    name: Annotated[str, typer.Argument(help="Name of the component, for example mean-colour.", show_default=False)],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder to create. Default: ./reidbench-NAME.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="Kind of component.")] = "finetuner",
) -> None:
    """Create a plugin package with a working component, its tests and a README."""
    from reidbench import scaffold

    scaffold.refuse_taken(name, kind, load_plugins(None))
    written = scaffold.write(name, folder, kind)
    words, chosen = scaffold.names(name), scaffold.KINDS[kind]
    print(f"{written}: a plugin with the {chosen.what} {words['name']}")
    print(f"run its tests: pip install -e '{written}[test]' && pytest {written}")
    place = written / words["module"] / f"{chosen.code}.py"
    print(f"write your {'method' if kind == 'finetuner' else chosen.what} in {place}, then: reidbench check {written}")


@app.command("new-results")
def new_results(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to create, or an empty clone.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the board. Default: the folder's name.")
    ] = None,
) -> None:
    """Create a results repository: CI verifies the packs of each pull request and publishes a site."""
    from reidbench.scaffold import results

    written = results.write(folder, name)
    print(f"{written}: a results repository")
    print(f"add a pack: reidbench pack FILE --features -o {written / 'packs' / 'NAME.zip'}")
    print(f"{written / 'README.md'}: how to publish it; {written / 'SUBMITTING.md'}: how others submit results")


@app.command()
def check(
    plugin: Annotated[
        str,
        typer.Argument(help="Plugin name as listed by `reidbench plugins`, its module, or a path.", show_default=False),
    ],
    only: Annotated[str | None, typer.Option(metavar="NAME", help="Check only this component.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Save the results next to the code; later checks compare with them.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", parser=positive, help="Fail a step that takes longer than this.")
    ] = 600.0,
) -> None:
    """Check every component of a plugin on tiny data: shapes, determinism, resume, global state, files, version.

    Prints one line per check. Exit code 1 if a check fails.
    """
    from reidbench.check import check_plugin

    report = check_plugin(
        plugin, only=only, keep_record=record, tell=lambda line: print(line, flush=True), timeout=timeout
    )
    counts = [sum(line.status == status for line in report.lines) for status in ("ok", "skipped", "failed")]
    print("{} ok, {} skipped, {} failed".format(*counts))
    if report.failures:
        raise typer.Exit(1)
