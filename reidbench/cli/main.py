"""The command line. Exit codes: 0 all done, 1 some cells failed, 2 bad input.

A command imports what it needs when it runs: `--help` needs nothing but typer.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reidbench import __version__
from reidbench.api.opening import chosen_rows
from reidbench.errors import ReidbenchError

from . import data, end, streams
from .networks import app as network_commands
from .options import (
    AveragePrecision,
    ExecutorName,
    FileArgument,
    Format,
    Invalid,
    JsonOption,
    Pictures,
    SetOption,
    StoreOption,
    StrictOption,
    Ties,
    Variant,
    WithoutOption,
    decimal,
    load_plugins,
    note,
    one_store_at,
    plan_or_board,
    positive,
    read_plan,
    store_at,
    uncollected,
    warn_of_conflicts,
    where,
    whole,
)
from .packs import app as pack_commands
from .packs import is_pack, unpacked
from .plugin import app as plugin_commands
from .rehearse import app as rehearse_commands
from .show import app as show_commands
from .store import app as store_commands
from .verify import app as verify_commands

if TYPE_CHECKING:
    from rich.console import Console

    from reidbench import report
    from reidbench.matrix.stage import Plan
    from reidbench.registry import plugins
    from reidbench.store.artifacts import Store

app = typer.Typer(
    name="reidbench",
    help="Cross person re-identification methods, data sets and seeds into leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(plugin_commands)
app.add_typer(data.app)
app.add_typer(show_commands)
app.add_typer(rehearse_commands)
app.add_typer(network_commands)
app.add_typer(store_commands)
app.add_typer(pack_commands)
app.add_typer(verify_commands)


def main() -> None:
    """Entry point: a user's mistake is one sentence on standard error and exit code 2."""
    # All is done by then: a late Ctrl-C must not turn the exit code into a death by signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(end.exit_code(app))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"reidbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command("plan")
@uncollected()
def show_plan(
    file: FileArgument,
    store: StoreOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rows, stages, what is cached, what is to run and how long it may take. Runs nothing."""
    from reidbench.execution import preview
    from reidbench.registry import plugins

    registry = load_plugins(without)
    the_plan = read_plan(file, registry, overrides)
    the_store = store_at(store)
    found = preview.preview(the_plan, the_store, registry)
    warn_of_conflicts(the_store)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['title']}: {found['rows']} rows, {found['not_applicable']} of them not applicable")
    print(f"{found['stages']} stages, {found['to_run']} to run")
    for line in found["kinds"]:
        counts = f"{line['stages']:>6} stages, {line['to_run']:>6} to run{line['time']}"
        setup = f", with {plugins.printable(line['setup'])}" if line["setup"] else ""
        print(f"  {line['kind']:<9} {line['use']:<20} {counts}{setup}")
    print(f"expected: {found['expected']}")
    for name in found["held_out"]:
        print(f"validation: {plugins.printable(name)}")
    for reason in found["reasons"]:
        print(f"not applicable: {reason}")
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)


@app.command()
def run(
    file: FileArgument,
    store: StoreOption = None,
    executor: Annotated[ExecutorName, typer.Option(help="Where stages run.")] = "process",
    jobs: Annotated[
        int | None,
        typer.Option(parser=whole(1), help="Stages at a time. Default: 1, or what the cluster at --address holds."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ray: the head of a cluster to join, or auto.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=positive, help="A stage that runs longer has failed."),
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(metavar="GIB", parser=positive, help="A stage that uses more memory has failed."),
    ] = None,
    workers: Annotated[int, typer.Option(parser=whole(0), help="Threads that prepare images in a stage.")] = 0,
    only: Annotated[str | None, typer.Option(metavar="GLOB", help="Only methods, or method/task, that match.")] = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    strict: StrictOption = False,
) -> None:
    """Run what is missing, then print the leaderboard."""
    from rich.console import Console

    from reidbench.execution import executors, progress, runner
    from reidbench.metrics.neighbours import faiss_search
    from reidbench.packs import lasting

    the_store = one_store_at(store, "run")
    fault = faiss_search.clash()
    if fault:
        raise ReidbenchError(fault)
    registry = load_plugins(without)
    the_plan = whole_plan = read_plan(file, registry, overrides)
    if only:
        the_plan = chosen_rows(the_plan, only)
    console = Console(stderr=True)
    pool = executors.make(executor, jobs, address, time_limit, memory_limit)
    unrecorded = lasting.record_run(whole_plan, the_store, overrides)
    with contextlib.ExitStack() as held:
        try:
            with progress.make(console) as shown:
                outcome = runner.Runner(the_plan, the_store, pool, shown, frozenset(without or ()), workers, held).run()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C, which wants the same
            print(f"interrupted; what is finished is kept. To go on:\n  {_again()}", file=sys.stderr)
            sys.exit(130)
        if unrecorded:  # and nothing was missing, else the run has ended with the same reason
            note(unrecorded)
        _print_board(the_plan, the_store, registry, console, strict)
    print(where(the_store), file=sys.stderr)
    if outcome.failed:
        counts = f"{len(outcome.failed)} stages failed, {len(outcome.blocked)} wait for them"
        print(f"{counts}. To try them again:\n  {_again()}", file=sys.stderr)
        sys.exit(1)


@uncollected()
def _print_board(the_plan: Plan, the_store: Store, registry: plugins.Registry, console: Console, strict: bool) -> None:
    """The leaderboard of a run; with `strict` raises ReidbenchError where a mean is over different origins."""
    from reidbench import report
    from reidbench.progressbar import going_through

    with going_through(console) as through:
        board = report.collect(the_plan, the_store, through=through)
    _warn(board, registry)
    if strict:
        report.refuse_mixed(board)
    if streams.is_closed():
        print("standard output is closed: `reidbench table` prints the leaderboard", file=sys.stderr)
    else:
        print(report.write(board, "md"), end="")


def _warn(board: report.Leaderboard, registry: plugins.Registry) -> None:
    from reidbench.execution import preview
    from reidbench.registry import plugins

    for warning in preview.changed_code(board.sources, registry):
        print(f"warning: {plugins.printable(warning)}", file=sys.stderr)


def _again() -> str:
    return shlex.join(["reidbench", *sys.argv[1:]])


@app.command()
@uncollected()
def table(
    context: typer.Context,
    file: FileArgument,
    store: StoreOption = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = "md",
    metric: Annotated[
        str | None,
        typer.Option(
            help="What ranks: mAP, mINP, cmc1, score (0.5 cmc1 + 0.5 mAP) or another that an evaluator gives; CSV and "
            "JSON hold all. Default: mAP, or the first metric of a table without it."
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Markdown: also paired differences to a method. May be repeated."),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Instead, the cells that `expect:` holds against published numbers: both, the difference, and which "
            "rules differ. HTML: on the page as well.",
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Also what the networks cost, as `profile: true` had it measured: params, macs, latency, latency64, "
            "throughput, throughput64, memory, bytes, with commas between them, or all.",
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Markdown, JSON: also results that the file's plan no longer has.")
    ] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write to a file instead.")] = None,
    ranked: Annotated[int, typer.Option(parser=whole(0), help="HTML: so many best and worst queries of each row.")] = 3,
    pictures: Annotated[
        Pictures, typer.Option(help="HTML: pictures of rendered persons only, of all data, or none.")
    ] = "rendered",
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the charts as PNG and SVG into a folder.")
    ] = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    strict: StrictOption = False,
) -> None:
    """The leaderboard, from what the store holds, or a pack: `reidbench table results.zip`."""
    from rich.console import Console

    from reidbench import report
    from reidbench.packs import lasting
    from reidbench.progressbar import going_through
    from reidbench.report import efficiency

    _refuse_clash(form, history, published, bool(metric or against or columns))
    costs = efficiency.names_of(columns) if columns else ()
    if packed := is_pack(file):
        the_plan, the_store = unpacked(context, file, store, overrides)
    else:
        registry, the_store = load_plugins(without), store_at(store)
        the_plan = plan_or_board(file, registry, overrides, the_store)
    given = [*lasting.set_words(overrides), *(word for name in without or () for word in ("--without", name))]
    with going_through(Console(stderr=True)) as through:
        board = report.collect(the_plan, the_store, score=metric == report.SCORE, through=through)
    if not packed:
        _warn(board, registry)
    if history:
        board = dataclasses.replace(board, history=tuple(lasting.history(the_plan, the_store, note)))
    options = report.Options(metric, ranked, pictures, given, strict, published, costs)
    text = report.write_board(board, the_plan, the_store, form, options, against or (), figures)
    warn_of_conflicts(the_store)
    if form == "csv" and board.published and not published:
        note("CSV has the measured rows only; the published ones of the file are in md, json, latex and html")
    _put(text, out, "" if form != "md" else f"results: {file.absolute()}" if packed else where(the_store))


def _refuse_clash(form: str, history: bool, published: bool, chosen: bool) -> None:
    """Raise ReidbenchError for options of `table` that exclude each other; `chosen` is for what a table may show."""
    if history and (published or form not in ("md", "json")):
        raise ReidbenchError("--history is for Markdown and JSON, and not beside --published: leave it out")
    if published and form != "html" and chosen:
        raise ReidbenchError(
            "--published prints all metrics of the cells that `expect:` names: leave out --metric, --against and "
            "--columns"
        )


def _put(text: str, out: Path | None, where_from: str) -> None:
    """Print a table, and on standard error where it is from; or write it to a file."""
    if out is None:
        sys.stdout.write(text)
        if where_from:
            print(where_from, file=sys.stderr)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error.strerror}") from None


@app.command("score")
def score_files(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            show_default=False,
            help=".npz, .mat, .pt, .csv or .parquet files, or folders of .npy files.",
        ),
    ],
    as_json: JsonOption = False,
    ap: Annotated[AveragePrecision, typer.Option(help="Area under precision and recall.")] = "step",
    invalid: Annotated[Invalid, typer.Option(help="Queries without a true match.")] = "drop",
    ties: Annotated[Ties, typer.Option(help="Order of equal distances.")] = "stable",
    distance: Annotated[Literal["cosine", "euclidean"], typer.Option(help="How features are compared.")] = "cosine",
    no_camera: Annotated[
        bool, typer.Option("--no-camera", help="Keep matches of the query's own camera; no camera keys are needed.")
    ] = False,
    use: Annotated[
        Literal["features", "distances"] | None, typer.Option(help="What to score where a file has both.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv", help="path,pid,split[,camid] of the images whose features and names the files have."
        ),
    ] = None,
    rerank: Annotated[
        Variant | None,
        typer.Option(help="k-reciprocal re-ranking, whose definition."),
    ] = None,
    k1: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the reciprocal sets.")] = 20,
    k2: Annotated[int, typer.Option(parser=whole(1), help="Re-ranking: neighbours of the query expansion.")] = 6,
    lambda_: Annotated[
        float, typer.Option("--lambda", parser=decimal, help="Re-ranking: share of the original distance.")
    ] = 0.3,
) -> None:
    """Score feature files: mAP, CMC, mINP, and what was filtered. Several files are also compared in pairs."""
    from reidbench.scoring import score

    score.run(
        files,
        as_json=as_json,
        ap=ap,
        invalid=invalid,
        ties=ties,
        distance=distance,
        camera=not no_camera,
        rerank=rerank,
        k1=k1,
        k2=k2,
        lambda_=lambda_,
        use=use,
        manifest=manifest,
    )


if __name__ == "__main__":
    main()
