"""Options shared by several commands, functions that read a plan from them, and strict number parsers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reidbench.api.opening import at_home as at_home
from reidbench.api.opening import one_store_at as one_store_at
from reidbench.api.opening import store_at as store_at
from reidbench.api.opening import uncollected as uncollected
from reidbench.errors import ConfigError, ReidbenchError

if TYPE_CHECKING:
    from reidbench.matrix.benchmark import Benchmark
    from reidbench.matrix.stage import Plan
    from reidbench.registry.plugins import Registry
    from reidbench.report import Leaderboard
    from reidbench.store.artifacts import Store
    from reidbench.tuning.resolve import Resolved

# Repeated here because the modules that define them are slow to import; a test compares the lists.
AveragePrecision = Literal["step", "trapezoid"]
Breakdown = Literal["camera-pair", "camera", "persons"]
Format = Literal["md", "csv", "json", "latex", "html"]
Invalid = Literal["drop", "zero"]
Kind = Literal["dataset", "backbone", "selector", "pretrainer", "preparer", "finetuner", "adapter", "evaluator"]
Pictures = Literal["rendered", "all", "none"]
Ties = Literal["stable", "best", "worst"]
Variant = Literal["zhong", "torchreid", "fastreid"]

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The matrix file (YAML).", show_default=False)]
StoreOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Store folder. Default: $REIDBENCH_STORE, or .reidbench/. Commands that only read accept several; "
        "the first store that has a result wins.",
    ),
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", metavar="NAME", help="Do not load this plugin. Repeatable.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="Select rows by method or method/task, for example `bot*`. Repeatable."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a value of the matrix file, for example seeds=[0]. Repeatable."
    ),
]
TrackOption = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        help="Send the run to a tracker: tensorboard, mlflow, wandb, or another one that `reidbench plugins` lists. "
        "Repeatable.",
    ),
]
TrackOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--track-option",
        metavar="NAME.KEY=VALUE",
        help="Option of a tracker, for example tensorboard.folder=runs; `reidbench show tracker NAME` lists them. "
        "Repeatable.",
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Backend that runs the stages: inline, process, ray, or another one that `reidbench plugins` lists.",
    ),
]
ExecutorOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Option of the executor, for example time=60; `reidbench show executor NAME` lists them. Repeatable.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail if a mean mixes package versions, plugin sources or processors.")
]
BreakdownOption = Annotated[
    Breakdown | None,
    typer.Option(
        help="Break each row down by query camera, by camera pair, or into its worst identities, instead of the "
        "leaderboard. Markdown, CSV, JSON."
    ),
]
RanksOption = Annotated[
    bool,
    typer.Option(
        "--ranks",
        help="Add ranks across tasks: mean rank with its interval, win rate, Borda count, and groups of methods "
        "without a significant difference. Not for CSV; HTML always has them.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@uncollected()
def load_plugins(without: list[str] | None) -> Registry:
    """Load all plugins except `without`. Report those that fail to load on standard error."""
    from reidbench.registry import plugins

    registry = plugins.load(frozenset(without or ()))
    for complaint in registry.complaints():
        print(f"reidbench: {complaint}", file=sys.stderr)
    return registry


@uncollected()
def read_plan(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Plan:
    """Return the plan of a matrix file, with search winners from a store. Raises ConfigError with every mistake."""
    return read_resolved(file, registry, overrides, store).plan


@uncollected()
def read_resolved(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Resolved:
    """Return a matrix file with the results of its searches in a store. Raises ConfigError with every mistake."""
    from reidbench.tuning import resolve

    return resolve.resolve(read_benchmark(file, registry, overrides), store)


def read_benchmark(file: Path, registry: Registry, overrides: list[str] | None) -> Benchmark:
    """Read a matrix file. Raises ConfigError with every mistake."""
    from reidbench.matrix.reading import reader

    return reader.read(file, registry, overrides or ())


def warn_of_conflicts(store: Store) -> None:
    """Warn on standard error about results that differ between the stores that were read."""
    from reidbench.registry.plugins import printable
    from reidbench.store.several import Stores

    for sentence in store.conflicts() if isinstance(store, Stores) else ():
        print(f"warning: {printable(sentence)}", file=sys.stderr)


def warn_of_changes(board: Leaderboard, registry: Registry) -> None:
    """Warn on standard error about plugins whose code has changed since the results were computed."""
    from reidbench.execution import preview
    from reidbench.registry.plugins import printable

    for warning in preview.changed_code(board.sources, registry):
        print(f"warning: {printable(warning)}", file=sys.stderr)


def where(store: Store) -> str:
    """Return the last line of a command's output, which names the store's folders."""
    return f"results: {', '.join(str(root.absolute()) for root in store.roots)}"


def note(text: str) -> None:
    """Print a note on standard error."""
    from reidbench.registry.plugins import printable

    print(printable(f"note: {text}"), file=sys.stderr)


def plan_or_board(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Plan:
    """Like `read_plan`, with dates of claims. If a plugin is missing, return the plan that the store recorded."""
    from reidbench.packs import lasting

    try:
        plan = read_plan(file, registry, overrides, store)
    except ConfigError as error:
        plan, said = lasting.board_instead(error, file, overrides, store)
        note(said)
    return lasting.dated(plan, store)


def refuse_breakdown(kind: str | None, form: str, worst: int | None, only: Sequence[str] | None, beside: bool) -> None:
    """Raise ReidbenchError for options of `table` that conflict with --breakdown (`beside`) or that require it."""
    if kind is None and (worst is not None or only is not None):
        raise ReidbenchError("--worst and --only require --breakdown; add it or remove them")
    if kind is not None and worst is not None and kind != "persons":
        raise ReidbenchError(f"--worst requires --breakdown persons, not --breakdown {kind}; remove --worst")
    if kind is not None and (beside or form not in ("md", "csv", "json")):
        raise ReidbenchError(
            "--breakdown works only with --format md, csv or json, and without --history, --published, --ranks, "
            "--against, --columns and --figures"
        )


def refuse_clash(form: str, history: bool, published: bool, ranks: bool, chosen: bool) -> None:
    """Raise ReidbenchError for conflicting options of `table`. `chosen`: some option selects the table's content."""
    if history and (published or form not in ("md", "json")):
        raise ReidbenchError("--history works only with --format md or json, and without --published; remove it")
    if published and form != "html" and chosen:
        raise ReidbenchError(
            "--published prints all metrics of the cells in `expect:`; remove --metric, --against, --columns and "
            "--ranks"
        )
    if ranks and form == "csv":
        raise ReidbenchError("--ranks is not available with --format csv; use md, json, latex or html")


def whole(least: int = 0) -> Callable[[str | int], int]:
    """Return a parser for integers from `least` in ASCII digits. It rejects 1_000 and digits of other scripts."""

    def integer(given: str | int) -> int:
        from reidbench.matrix.reading.yamlfile import LARGEST, LONGEST_NUMBER, WHOLE, shown

        text = str(given)
        if len(text) > LONGEST_NUMBER or not WHOLE.fullmatch(text) or not least <= int(text) < LARGEST:
            raise typer.BadParameter(f"must be a whole number from {least} in plain digits, not {shown(text)}")
        return int(text)

    return integer


WorstOption = Annotated[
    int | None,
    typer.Option(parser=whole(1), help="With --breakdown persons: number of identities per row. Default: 10."),
]


def decimal(given: str | float) -> float:
    """Parse a finite number in ASCII digits. It rejects 1_000 and nan."""
    from reidbench.matrix.reading.yamlfile import DECIMAL, LONGEST_NUMBER, shown

    text = str(given)
    if len(text) > LONGEST_NUMBER or not DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise typer.BadParameter(f"must be a number like 12, 0.5 or 1e3, not {shown(text)}")
    return float(text)


def positive(given: str | float) -> float:
    """Parse a number above 0."""
    from reidbench.matrix.reading.yamlfile import shown

    if decimal(given) <= 0:
        raise typer.BadParameter(f"must be above 0, not {shown(str(given))}")
    return decimal(given)
