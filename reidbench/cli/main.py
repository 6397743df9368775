"""The command line. Exit codes: 0 success, 1 some cells failed, 2 bad input.

Each command imports its dependencies when it runs, so `--help` needs only typer.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench import __version__
from reidbench.errors import ReidbenchError

from . import data, end, streams
from .networks.commands import app as network_commands
from .networks.serve import app as serve_commands
from .options import (
    ExecutorOption,
    ExecutorOptions,
    FileArgument,
    OnlyOption,
    SetOption,
    StoreOption,
    StrictOption,
    TrackOption,
    TrackOptions,
    WithoutOption,
    load_plugins,
    note,
    one_store_at,
    positive,
    read_benchmark,
    uncollected,
    warn_of_changes,
    where,
    whole,
)
from .plan import app as plan_commands
from .plugin import app as plugin_commands
from .results.claims import app as claim_commands
from .results.looking import app as look_commands
from .results.packs import app as pack_commands
from .results.site import app as site_commands
from .results.status import app as status_commands
from .results.table import app as table_commands
from .results.validity import app as validity_commands
from .results.verify import app as verify_commands
from .results.watch import app as watch_commands
from .scoring import app as score_commands
from .show import app as show_commands
from .store import app as store_commands

if TYPE_CHECKING:
    from rich.console import Console

    from reidbench.matrix.stage import Plan
    from reidbench.registry import plugins
    from reidbench.report import Leaderboard
    from reidbench.store.artifacts import Store

app = typer.Typer(
    name="reidbench",
    help="Benchmark person re-identification: run methods on tasks with several seeds and build leaderboards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",  # reflows paragraphs, which are otherwise printed with their line breaks
)

app.add_typer(plugin_commands)
app.add_typer(data.app)
app.add_typer(show_commands)
app.add_typer(plan_commands)
app.add_typer(status_commands)
app.add_typer(watch_commands)
app.add_typer(network_commands)
app.add_typer(serve_commands)
app.add_typer(look_commands)
app.add_typer(store_commands)
app.add_typer(score_commands)
app.add_typer(table_commands)
app.add_typer(claim_commands)
app.add_typer(pack_commands)
app.add_typer(site_commands)
app.add_typer(validity_commands)
app.add_typer(verify_commands)


def main() -> None:
    """Entry point. Input errors print one sentence on standard error and exit with code 2."""
    # A late Ctrl-C, during interpreter exit, must not replace the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(end.exit_code(app))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"reidbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Global options."""


@app.command()
def run(
    file: FileArgument,
    store: StoreOption = None,
    executor: ExecutorOption = "process",
    options: ExecutorOptions = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            parser=whole(1), help="Number of parallel stages. Default: 1, or what the executor's cluster can hold."
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Ray: address of the cluster's head node, or auto.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", parser=positive, help="Fail a stage that runs longer than this."),
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(metavar="GIB", parser=positive, help="Fail a stage that uses more memory than this."),
    ] = None,
    workers: Annotated[int, typer.Option(parser=whole(0), help="Image-loading threads per stage.")] = 0,
    only: OnlyOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
    track: TrackOption = None,
    track_options: TrackOptions = None,
    strict: StrictOption = False,
) -> None:
    """Run the stages that are not cached, then print the leaderboard."""
    from rich.console import Console

    from reidbench.execution import executors, progress, runner, searching
    from reidbench.metrics.neighbours import faiss_search
    from reidbench.packs import lasting
    from reidbench.registry.plugins import printable
    from reidbench.tracking import choices, following

    the_store = one_store_at(store, "run")
    fault = faiss_search.clash()
    if fault:
        raise ReidbenchError(fault)
    registry = load_plugins(without)
    benchmark = read_benchmark(file, registry, overrides)
    console = Console(stderr=True)
    make = functools.partial(executors.make, executor, jobs, address, time_limit, memory_limit, options or (), registry)
    shown = progress.make(console)
    chosen = choices.chosen(track or (), track_options or (), registry)
    with contextlib.ExitStack() as held:
        tracked = held.enter_context(following.tracking(chosen, benchmark, the_store, registry, shown.note))
        try:
            with shown:
                ran = searching.run_benchmark(
                    benchmark,
                    the_store,
                    make,
                    lambda plan, pool: runner.Runner(
                        plan,
                        the_store,
                        pool,
                        tracked.following(shown, plan),
                        frozenset(without or ()),
                        workers,
                        held,
                    ).run(),
                    lambda plan: lasting.record_run(plan, the_store, overrides),
                    only or (),
                )
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # ignore a second Ctrl-C
            print(f"interrupted; finished stages are cached. To resume:\n  {_again()}", file=sys.stderr)
            sys.exit(130)
        if ran.unrecorded:  # everything was cached; otherwise the run has failed with the same reason
            note(ran.unrecorded)
        tracked.conclude(ran.plan, _print_board(ran.plan, the_store, registry, console, strict))
    print(where(the_store), file=sys.stderr)
    outcome = ran.outcome
    for row, why in ran.failed_searches.items():
        print(printable(f"{row}: {why}"), file=sys.stderr)
    if outcome.failed or ran.failed_searches:
        counts = f"{len(outcome.failed)} stages failed, {len(outcome.blocked)} that depend on them did not run"
        if not outcome.failed:
            counts = f"{len(ran.failed_searches)} searches have no winner"
        print(f"{counts}. To retry:\n  {_again()}", file=sys.stderr)
        sys.exit(1)


@uncollected()
def _print_board(
    the_plan: Plan, the_store: Store, registry: plugins.Registry, console: Console, strict: bool
) -> Leaderboard:
    """Print the leaderboard and return it.

    With `strict`, raise ReidbenchError if a mean mixes results of different origins.
    """
    from reidbench import report
    from reidbench.progressbar import going_through

    from .results.fitting import shown

    with going_through(console) as through:
        board = report.collect(the_plan, the_store, through=through)
    warn_of_changes(board, registry)
    if strict:
        report.refuse_mixed(board)
    if streams.is_closed():
        print("standard output is closed; run `reidbench table` to print the leaderboard", file=sys.stderr)
    else:
        print(shown(report.write(board, "md")), end="")
    return board


def _again() -> str:
    return shlex.join(["reidbench", *sys.argv[1:]])


if __name__ == "__main__":
    main()
