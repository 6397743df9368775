"""`reidbench table`: the leaderboard, from a store or a pack."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.cli.options import (
    BreakdownOption,
    FileArgument,
    Format,
    Pictures,
    RanksOption,
    SetOption,
    StoreOption,
    StrictOption,
    WithoutOption,
    WorstOption,
    load_plugins,
    note,
    plan_or_board,
    refuse_breakdown,
    refuse_clash,
    store_at,
    uncollected,
    warn_of_changes,
    warn_of_conflicts,
    where,
    whole,
)
from reidbench.errors import ReidbenchError

from .looking import loader
from .packs import is_pack, unpacked

if TYPE_CHECKING:
    from reidbench import report
    from reidbench.matrix.stage import Plan

app = typer.Typer()
FORMATS = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}  # that a file name suggests


@app.command()
@uncollected()
def table(
    context: typer.Context,
    file: FileArgument,
    store: StoreOption = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = "md",
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric to rank by: mAP, mINP, cmc1, score (0.5 cmc1 + 0.5 mAP) or another of the evaluator. CSV and "
            "JSON contain all. Default: mAP, or the first metric of a table without it."
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Markdown, JSON: add differences to this method. Repeatable."),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Compare the cells in `expect:` with published numbers, instead of the leaderboard: both numbers, "
            "their difference, and rules that differ. HTML: in addition to the leaderboard.",
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Add cost columns, measured with `profile: true`: all, or a comma-separated list of params, macs, "
            "latency, latency64, throughput, throughput64, memory, bytes.",
        ),
    ] = None,
    ranks: RanksOption = False,
    history: Annotated[
        bool, typer.Option("--history", help="Markdown, JSON: add results that are no longer in the file's plan.")
    ] = False,
    breakdown: BreakdownOption = None,
    worst: WorstOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="With --breakdown: select rows by method or method/task. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write to this file instead of standard output.")
    ] = None,
    ranked: Annotated[
        int, typer.Option(parser=whole(0), help="HTML: number of best and worst queries to show per row.")
    ] = 3,
    pictures: Annotated[
        Pictures, typer.Option(help="HTML: images to embed: of rendered data only, of all data, or none.")
    ] = "rendered",
    look: Annotated[
        bool,
        typer.Option(
            "--look",
            help="HTML: add a closer look at every row: activation maps, feature space, histograms of distances.",
        ),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the charts to this folder as PNG and SVG.")
    ] = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    strict: StrictOption = False,
) -> None:
    """Print the leaderboard of a matrix file, from a store, or of a pack: `reidbench table results.zip`."""
    from rich.console import Console

    from reidbench import report
    from reidbench.packs import lasting
    from reidbench.progressbar import going_through
    from reidbench.report import efficiency

    breakdown_clash = bool(history or published or ranks or against or columns or figures)
    refuse_clash(form, history, published, ranks, bool(metric or against or columns or ranks))
    refuse_breakdown(breakdown, form, worst, only, breakdown_clash)
    if look and form != "html":
        raise ReidbenchError("--look works only with --format html; add it, or remove --look")
    costs = efficiency.names_of(columns) if columns else ()
    if packed := is_pack(file):
        the_plan, the_store = unpacked(context, file, store, overrides)
    else:
        registry, the_store = load_plugins(without), store_at(store)
        the_plan = plan_or_board(file, registry, overrides, the_store)
    the_plan = the_plan.matching(only or ())
    given = [*lasting.set_words(overrides), *(word for name in without or () for word in ("--without", name))]
    with going_through(Console(stderr=True)) as through:
        board = report.collect(the_plan, the_store, score=metric == report.SCORE, through=through)
    if not packed:
        warn_of_changes(board, registry)
    if history:
        past = lasting.history(the_plan, the_store, note, score=metric == report.SCORE)
        board = dataclasses.replace(board, history=tuple(past))
    in_parts = breakdown, worst or report.Options.worst
    load = loader(the_store, load_plugins(without) if packed else registry) if look else None
    options = report.Options(metric, ranked, pictures, given, strict, published, costs, *in_parts, ranks, load)
    text = report.write_board(board, the_plan, the_store, form, options, against or (), figures)
    warn_of_conflicts(the_store)
    if form == "csv" and board.published and not published:
        note("CSV contains measured rows only; published rows are in md, json, latex and html")
    where_from = "" if form != "md" else f"results: {file.absolute()}" if packed else where(the_store)
    put(text, out, where_from, markdown=form == "md")
    if out and (wanted := FORMATS.get(out.suffix.lower(), form)) != form:
        note(f"{out} contains {form}; for {wanted}, add --format {wanted}")
    if form == "html":
        _say_more(text, out, the_plan, options)


def _say_more(page: str, out: Path | None, plan: Plan, options: report.Options) -> None:
    """Print the file and size of a page, and a warning about images of real persons, on standard error."""
    from reidbench.registry.plugins import printable
    from reidbench.report.html.page import size_words
    from reidbench.report.html.pictures import picture_warning

    if said := picture_warning(plan, options):
        note(said)
    name = f"{printable(str(out))}: " if out else ""
    print(f"{name}one file of {size_words(len(page.encode()))}", file=sys.stderr)


def put(text: str, out: Path | None, where_from: str, markdown: bool = False) -> None:
    """Print a table, and its origin on standard error, or write it to a file. Markdown is fitted to a terminal."""
    if out is None:
        from .fitting import shown

        sys.stdout.write(shown(text) if markdown else text)
        if where_from:
            print(where_from, file=sys.stderr)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error.strerror}") from None
