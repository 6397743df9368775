"""`reidbench site`: a static site from several matrix files and packs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.cli.options import (
    Pictures,
    StoreOption,
    WithoutOption,
    at_home,
    load_plugins,
    note,
    plan_or_board,
    store_at,
    warn_of_changes,
    warn_of_conflicts,
    whole,
)
from reidbench.errors import ReidbenchError

from .packs import is_pack, unpacked

if TYPE_CHECKING:
    from reidbench.progressbar import Through
    from reidbench.report.html.site.sources import Given

app = typer.Typer()


@app.command("site")
def write(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", show_default=False, help="Matrix files (YAML) and packs.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="DIR", show_default=False, help="Output folder: new, empty, or an existing site."
        ),
    ],
    store: StoreOption = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric to rank by. Default: mAP, or the first metric of an evaluator without it."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the site.")] = "",
    ranked: Annotated[int, typer.Option(parser=whole(0), help="Number of best and worst queries to show per row.")] = 3,
    pictures: Annotated[
        Pictures, typer.Option(help="Images to embed: of rendered data only, of all data, or none.")
    ] = "rendered",
    without: WithoutOption = None,
) -> None:
    """Build a static site: an index, a page per matrix, method and data set, and a table across all of them.

    Rows of packs are `self-reported` unless `verify --store DIR` has checked them and --store DIR is given here.
    """
    from rich.console import Console

    from reidbench.progressbar import going_through
    from reidbench.report.html.pictures import picture_warning
    from reidbench.report.html.site import folder, pages
    from reidbench.report.options import Options

    folder.check(out)
    options = Options(metric, ranked, pictures)
    with going_through(Console(stderr=True)) as through:
        given = _read(context, files, store, without, metric, through)
        site = pages.build(given, options, title, through)
    removed = folder.write(out, site.files)
    for sentence in site.contradictions:
        _warn(sentence)
    for said in dict.fromkeys(filter(None, (picture_warning(one.plan, options) for one in given))):
        note(said)
    size = sum(map(len, site.files.values())) / 1e6
    gone = f", {removed} file{'' if removed == 1 else 's'} of an older site removed" if removed else ""
    print(f"{out / pages.INDEX}: {len(site.files)} files, {size:.1f} MB{gone}", file=sys.stderr)


def _read(
    context: typer.Context,
    files: list[Path],
    store: list[Path] | None,
    without: list[str] | None,
    metric: str | None,
    through: Through,
) -> list[Given]:
    """Return all files with their results. Raises ReidbenchError for the first that cannot be read."""
    from reidbench import report
    from reidbench.report.html.site.sources import Given

    packed = {file for file in files if is_pack(file)}
    for folder in store or ():
        if not at_home(folder).is_dir():
            beside = "; with packs, --store names the store that `verify --store` has written to"
            raise ReidbenchError(f"{folder}: no such folder{beside * packed.issuperset(files)}")
    found = []
    own_store = store_at(store) if store or len(packed) < len(set(files)) else None
    registry = load_plugins(without)
    for file in files:
        if own_store is None or file in packed:
            plan, the_store = unpacked(context, file, None, None, own_store if store else None)
        else:
            plan, the_store = plan_or_board(file, registry, None, own_store), own_store
        board = report.collect(plan, the_store, score=metric == report.SCORE, through=through)
        if file not in packed:
            warn_of_changes(board, registry)
        arguments = () if file in packed else tuple(word for name in without or () for word in ("--without", name))
        found.append(Given(file, plan, the_store, board, arguments))
    if own_store is not None:
        warn_of_conflicts(own_store)
    return found


def _warn(sentence: str) -> None:
    from reidbench.registry.plugins import printable

    print(f"warning: {printable(sentence)}", file=sys.stderr)
