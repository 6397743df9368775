"""`reidbench look`: one page about single queries, activation maps and the feature space of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reidbench.cli.networks.which import FileOption, RowOption, SeedOption, TaskOption
from reidbench.cli.options import (
    Pictures,
    SetOption,
    StoreOption,
    load_plugins,
    note,
    read_plan,
    store_at,
    uncollected,
    warn_of_conflicts,
    whole,
)
from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.registry.plugins import Registry
    from reidbench.report.breakdown.looking.subject import Place
    from reidbench.store.artifact import Artifact
    from reidbench.store.artifacts import Store

app = typer.Typer()


@app.command()
@uncollected()
def look(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="PAGE.html", help="Output file.", show_default=False)],
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="[KEY]",
            show_default=False,
            help="Key of a result (see `table --format json`), or its first characters; omit with --file.",
        ),
    ] = None,
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="Second row, next to the first: a method, or without --file a key."),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUERY",
            help="Query to show: its number from 1, its file name, or with --maps another image file. Repeatable.",
        ),
    ] = None,
    worst: Annotated[
        int | None,
        typer.Option(
            parser=whole(0),
            metavar="N",
            help="Without --query: number of queries, those with the lowest average precision. Default: 3.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(parser=whole(1), help="Number of images per list, without ignored ones.")] = 10,
    maps: Annotated[
        bool, typer.Option("--maps", help="Add activation maps and Grad-CAM of queries and first matches.")
    ] = False,
    projection: Annotated[
        Literal["pca", "umap"],
        typer.Option(help="Method that draws features on a plane: principal components, or UMAP (extra `umap`)."),
    ] = "pca",
    pictures: Annotated[
        Pictures, typer.Option(help="Images to embed: of rendered data only, of all data, or none.")
    ] = "all",
) -> None:
    """Write a page about one row or two: ranked lists of single queries, maps, feature space, histograms of distances.

    Reads stored features; only --maps runs a network.
    """
    from reidbench.export.places import check_place, written
    from reidbench.registry.plugins import printable
    from reidbench.report.breakdown.looking import page
    from reidbench.report.breakdown.looking.section import Wanted
    from reidbench.report.breakdown.looking.section import look as look_at
    from reidbench.report.html.page import size_words
    from reidbench.report.html.ranked import Thumbnails

    check_place(out)
    if query and worst is not None:
        raise ReidbenchError("--worst chooses queries, and --query names them; remove one of them")
    the_store, registry = store_at(store), load_plugins(None)
    if file is None:
        places = _of_keys(the_store, key, against, {"--row": row, "--task": task, "--seed": seed, "--set": overrides})
    elif key is not None:
        raise ReidbenchError(f"both a key ({key}) and --file are given; remove one of them")
    else:
        places = _of_rows(file, (row, task, seed), against, the_store, registry, overrides, store)
    warn_of_conflicts(the_store)
    load = loader(the_store, registry) if maps else None
    wanted = Wanted(query or (), 3 if worst is None else worst, top, load, projection)
    thumbnails = Thumbnails()
    found = look_at([replace(place, pictures=pictures) for place in places], wanted, thumbnails)
    text = page.render(found, thumbnails)
    with written(out) as beside:
        beside.write_text(text, encoding="utf-8")
    if found.real:
        note(f"{out} shows images of {' and '.join(found.real)}, which may show real people: do not publish it")
    print(f"{printable(str(out))}: {printable(found.name)}, one file of {size_words(len(text.encode()))}")


def loader(store: Store, registry: Registry) -> Callable[[Artifact], Any]:
    """Return a function that loads the network of a stage."""
    from reidbench.export import networks

    return lambda artifact: networks.load(store, artifact, registry)


def _of_keys(store: Store, key: str | None, against: str | None, given: dict[str, Any]) -> list[Place]:
    from reidbench.export import networks
    from reidbench.report.breakdown.looking.subject import recorded

    for option, value in given.items():
        if value is not None:
            raise ReidbenchError(f"{option} requires --file FILE, the matrix file that contains the row")
    if not key:
        raise ReidbenchError("no row given; give the KEY of a result, or --file FILE --row METHOD --task TASK --seed N")
    return [recorded(store, networks.find(store, one), "all") for one in (key, against) if one]


def _of_rows(
    file: Path,
    chosen: tuple[str | None, str | None, int | None],
    against: str | None,
    store: Store,
    registry: Registry,
    overrides: list[str] | None,
    stores: list[Path] | None,
) -> list[Place]:
    from reidbench.export.rows import Choice
    from reidbench.report.breakdown.looking.subject import Place

    options = [word for value in overrides or () for word in ("--set", value)]
    options += ["--store", str(stores[0])] if stores else []  # the store that a run would write to
    plan = read_plan(file, registry, overrides, store)
    first = Choice(file, *chosen, options)
    choices = [first]
    if against is not None:
        own = first.row(plan)
        seed = chosen[2] if own.seed is None else own.seed
        choices.append(Choice(file, against, own.task, seed, options))
    return [Place(name, store, plan.stages, keys) for name, keys in (one.evaluations(plan, store) for one in choices)]
