"""`reidbench plan`, `trials` and `rehearse`: preview a matrix file, list search trials, do a scaled-down run."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.errors import ReidbenchError

from .options import (
    FileArgument,
    JsonOption,
    OnlyOption,
    SetOption,
    StoreOption,
    WithoutOption,
    at_home,
    load_plugins,
    positive,
    read_resolved,
    store_at,
    uncollected,
    warn_of_conflicts,
)

if TYPE_CHECKING:
    from reidbench.rehearsal.rehearse import Rehearsal

app = typer.Typer()


def counted(number: int, word: str) -> str:
    """Return a number with its noun: 1 stage, 2 stages."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


@app.command("plan")
@uncollected()
def show_plan(
    file: FileArgument,
    store: StoreOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the results and stages of a matrix file, how many are cached, and the expected time. Runs nothing."""
    from reidbench.execution import forecast, preview
    from reidbench.registry import plugins

    registry = load_plugins(without)
    the_store = store_at(store)
    resolved = read_resolved(file, registry, overrides, the_store)
    found = preview.preview(resolved.plan, the_store, registry, resolved)
    warn_of_conflicts(the_store)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    results = counted(found["rows"], "result")
    print(f"{found['title']}: {results}, {found['not_applicable']} of them not applicable")
    print(f"{counted(found['stages'], 'stage')}, {found['to_run']} to run")
    for line in found["kinds"]:
        several = f"{line['stages']:>6} {'stage, ' if line['stages'] == 1 else 'stages,'}"
        counts = f"{several} {line['to_run']:>6} to run{line['time']}"
        setup = f", with {plugins.printable(line['setup'])}" if line["setup"] else ""
        print(f"  {line['kind']:<9} {line['use']:<20} {counts}{setup}")
    for text in forecast.lines(found["searches"]) if "searches" in found else ():
        print(plugins.printable(text))
    print(f"expected stage time: {found['expected']}")
    for name in found["held_out"]:
        print(f"validation: {plugins.printable(name)}")
    for reason in found["reasons"]:
        print(f"not applicable: {reason}")
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)


@app.command("trials")
@uncollected()
def list_trials(
    file: FileArgument,
    store: StoreOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the trials of a matrix file's searches: values, criterion per seed, seconds, winner."""
    from rich.console import Console

    from reidbench.tuning import listing

    the_store = store_at(store)
    resolved = read_resolved(file, load_plugins(without), overrides, the_store)
    warn_of_conflicts(the_store)
    if as_json:
        print(json.dumps(listing.as_json(resolved), indent=1))
        return
    if not resolved.searches:
        raise ReidbenchError(f"{file} has no trials: no row or step has a `search:`")
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for line, style in listing.lines(resolved):
        console.print(line, style=style)


@app.command("rehearse")
def rehearse_file(
    file: FileArgument,
    only: OnlyOption = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the stand-ins in this new folder, for `plan` and `run`.")
    ] = None,
    real: Annotated[
        bool,
        typer.Option("--real", help="Use a few images of each of your data sets, and your weights, not stand-ins."),
    ] = False,
    per_second: Annotated[
        float | None,
        typer.Option(
            "--images-per-second",
            metavar="N",
            parser=positive,
            help="Training throughput of your device, to estimate the time at full scale.",
        ),
    ] = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
) -> None:
    """Run the whole plan of a matrix file scaled down, with stand-ins for its data and weights.

    Networks, image sizes, losses, stages and file layouts are those of the matrix file. The data are a few rendered
    persons, and training takes a few steps with a small batch. All failures are reported together, with exit code 1.
    The results are discarded, since their numbers mean nothing. With --real, the lists of your own data are read and
    compared with the published counts, and a few images of each set replace the stand-ins.

    The table shows the training stages at full scale: published image counts, and steps as each method computes them.
    Memory is an estimate for the backbone alone in 32 bits: 16 bytes per parameter (weight, gradient, Adam's moments)
    plus the activations that the forward pass keeps for each image of a step. Heads, losses, second networks and
    augmentation are extra.
    """
    from rich.console import Console

    from reidbench.execution import progress
    from reidbench.execution.executors import Processes
    from reidbench.matrix.reading import reader
    from reidbench.rehearsal import rehearse
    from reidbench.rehearsal.printed import scale_table

    began = time.monotonic()
    registry = load_plugins(without)
    with _folder(keep) as folder:
        benchmark = reader.read(file, registry, overrides or (), must_exist=real)
        folder.mkdir(parents=True, exist_ok=True)
        with progress.make(Console(stderr=True)) as shown:
            found = rehearse.rehearse(benchmark, registry, folder, Processes(1), shown, only or (), real)
    if keep is not None and not real:
        _print_roots(file, found)
    if found.lines:
        print(scale_table(found.lines, found.disk, per_second))
    _conclude(found, time.monotonic() - began)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the folder of a rehearsal: `keep`, which must not exist, or a temporary folder."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
            yield Path(folder)
        return
    place = at_home(keep).absolute()
    if place.exists():
        raise ReidbenchError(f"--keep {place}: this path already exists; name a new folder")
    yield place


def _print_roots(file: Path, found: Rehearsal) -> None:
    """Print the commands that plan the file with the stand-ins."""
    from reidbench.matrix.reading.yamlfile import read_tree
    from reidbench.rehearsal.variables import named_files, named_roots

    roots = found.cast.roots
    for name, place in {**named_files(found.cast.files), **named_roots(read_tree(file).value, roots)}.items():
        print(f"export {name}={shlex.quote(str(place))}")
    given = [word for name, root in roots.items() for word in ("--set", f"data.{name}.root={root}")]
    print(shlex.join(["reidbench", "plan", str(file), *given]))


def _conclude(found: Rehearsal, seconds: float) -> None:
    """Print notes, failures and the conclusion. Raises typer.Exit with code 1 after failures."""
    from reidbench.registry.plugins import printable

    for note in found.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    for place, why in found.failed.items():
        print(printable(f"failed: {place}: {why}"))
    methods = f"{found.methods} method{'' if found.methods == 1 else 's'}"
    counts = f"{counted(len(found.short.stages), 'stage')} of {methods} in {seconds / 60:.1f} min"
    print(f"rehearsed: {counts}; {f'{len(found.failed)} failed' if found.failed else 'ready'}")
    if found.failed:
        raise typer.Exit(1)
