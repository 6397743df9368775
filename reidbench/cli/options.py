"""Options that several commands share, the plan that they lead to, and numbers as strict as a matrix file's."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
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

# Spelled out, since the modules that have them take long to import; a test compares them with what is really there.
AveragePrecision = Literal["step", "trapezoid"]
Breakdown = Literal["camera-pair", "camera", "persons"]
ExecutorName = Literal["inline", "process", "ray"]
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
        help="Where results lie. Default: $REIDBENCH_STORE, or .reidbench/. May be repeated where nothing is written: "
        "the first that has a result gives it.",
    ),
]
WithoutOption = Annotated[
    list[str] | None, typer.Option("--without", metavar="NAME", help="Leave a plugin out. May be repeated.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the file, like seeds=[0]. May be repeated."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail where one mean is over different versions, plugin sources or processors.")
]
BreakdownOption = Annotated[
    Breakdown | None,
    typer.Option(
        help="Instead, every row in parts (Markdown, CSV, JSON): by the camera of the query, by pair of cameras, or "
        "its worst persons."
    ),
]
RanksOption = Annotated[
    bool,
    typer.Option(
        "--ranks",
        help="Also ranks over tasks: mean rank with its interval, win rate, Borda count, and which methods are not set "
        "apart. Not in CSV; HTML has them anyway.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@uncollected()
def load_plugins(without: list[str] | None) -> Registry:
    """The plugins that load; standard error names the others."""
    from reidbench.registry import plugins

    registry = plugins.load(frozenset(without or ()))
    for complaint in registry.complaints():
        print(f"reidbench: {complaint}", file=sys.stderr)
    return registry


@uncollected()
def read_plan(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Plan:
    """The plan of a matrix file, with the winners of searches in a store. Raises ConfigError with every mistake."""
    return read_resolved(file, registry, overrides, store).plan


@uncollected()
def read_resolved(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Resolved:
    """A matrix file with what its searches came to in a store. Raises ConfigError with every mistake."""
    from reidbench.tuning import resolve

    return resolve.resolve(read_benchmark(file, registry, overrides), store)


def read_benchmark(file: Path, registry: Registry, overrides: list[str] | None) -> Benchmark:
    """A matrix file. Raises ConfigError with every mistake."""
    from reidbench.matrix.reading import reader

    return reader.read(file, registry, overrides or ())


def warn_of_conflicts(store: Store) -> None:
    """Name on standard error what was read and differs between several stores."""
    from reidbench.registry.plugins import printable
    from reidbench.store.several import Stores

    for sentence in store.conflicts() if isinstance(store, Stores) else ():
        print(f"warning: {printable(sentence)}", file=sys.stderr)


def warn_of_changes(board: Leaderboard, registry: Registry) -> None:
    """Warn on standard error of plugins whose code has changed since results were made."""
    from reidbench.execution import preview
    from reidbench.registry.plugins import printable

    for warning in preview.changed_code(board.sources, registry):
        print(f"warning: {printable(warning)}", file=sys.stderr)


def where(store: Store) -> str:
    """The folders of a store, for the last line of a command."""
    return f"results: {', '.join(str(root.absolute()) for root in store.roots)}"


def note(text: str) -> None:
    """Something that a person should read, on standard error."""
    from reidbench.registry.plugins import printable

    print(printable(f"note: {text}"), file=sys.stderr)


def plan_or_board(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Plan:
    """As `read_plan`, claims with dates; where a plugin of the file is gone, the plan of the store's board of it."""
    from reidbench.packs import lasting

    try:
        plan = read_plan(file, registry, overrides, store)
    except ConfigError as error:
        plan, said = lasting.board_instead(error, file, overrides, store)
        note(said)
    return lasting.dated(plan, store)


def refuse_breakdown(kind: str | None, form: str, worst: int | None, only: str | None, beside: bool) -> None:
    """Raise ReidbenchError for options of `table` that --breakdown excludes (`beside`), or that need it."""
    if kind is None and (worst is not None or only is not None):
        raise ReidbenchError("--worst and --only choose what --breakdown prints: add it, or leave them out")
    if kind is not None and worst is not None and kind != "persons":
        raise ReidbenchError(f"--worst is for --breakdown persons, not {kind}: leave it out")
    if kind is not None and (beside or form not in ("md", "csv", "json")):
        raise ReidbenchError(
            "--breakdown is for Markdown, CSV and JSON, and prints rows in parts only: leave out --history, "
            "--published, --ranks, --against, --columns and --figures"
        )


def refuse_clash(form: str, history: bool, published: bool, ranks: bool, chosen: bool) -> None:
    """Raise ReidbenchError for options of `table` that exclude each other; `chosen` is for what a table may show."""
    if history and (published or form not in ("md", "json")):
        raise ReidbenchError("--history is for Markdown and JSON, and not beside --published: leave it out")
    if published and form != "html" and chosen:
        raise ReidbenchError(
            "--published prints all metrics of the cells that `expect:` names: leave out --metric, --against, "
            "--columns and --ranks"
        )
    if ranks and form == "csv":
        raise ReidbenchError("--ranks is for Markdown, JSON, LaTeX and HTML: CSV has rows only")


def whole(least: int = 0) -> Callable[[str | int], int]:
    """Reads a whole number from `least`, in plain digits: neither 1_000 nor digits of other scripts."""

    def integer(given: str | int) -> int:
        from reidbench.matrix.reading.yamlfile import LARGEST, LONGEST_NUMBER, WHOLE, shown

        text = str(given)
        if len(text) > LONGEST_NUMBER or not WHOLE.fullmatch(text) or not least <= int(text) < LARGEST:
            raise typer.BadParameter(f"must be a whole number from {least} in plain digits, not {shown(text)}")
        return int(text)

    return integer


WorstOption = Annotated[
    int | None, typer.Option(parser=whole(1), help="--breakdown persons: so many of each row. Default: 10.")
]


def decimal(given: str | float) -> float:
    """Reads a finite number in plain digits: neither 1_000 nor nan."""
    from reidbench.matrix.reading.yamlfile import DECIMAL, LONGEST_NUMBER, shown

    text = str(given)
    if len(text) > LONGEST_NUMBER or not DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise typer.BadParameter(f"must be a number like 12, 0.5 or 1e3, not {shown(text)}")
    return float(text)


def positive(given: str | float) -> float:
    """Reads a number above 0."""
    from reidbench.matrix.reading.yamlfile import shown

    if decimal(given) <= 0:
        raise typer.BadParameter(f"must be above 0, not {shown(str(given))}")
    return decimal(given)
