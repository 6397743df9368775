"""Options that several commands share, the plan that they lead to, and numbers as strict as a matrix file's."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reidbench.errors import ConfigError, ReidbenchError

if TYPE_CHECKING:
    from reidbench.matrix.stage import Plan
    from reidbench.registry.plugins import Registry
    from reidbench.store.artifacts import Store

# Spelled out, since the modules that have them take long to import; a test compares them with what is really there.
AveragePrecision = Literal["step", "trapezoid"]
ExecutorName = Literal["inline", "process", "ray"]
Format = Literal["md", "csv", "json", "latex", "html"]
Invalid = Literal["drop", "zero"]
Kind = Literal["dataset", "backbone", "selector", "pretrainer", "preparer", "finetuner", "adapter", "evaluator"]
Pictures = Literal["rendered", "all", "none"]
Ties = Literal["stable", "best", "worst"]
Variant = Literal["zhong", "torchreid", "fastreid"]

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The matrix file (YAML).", show_default=False)]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Where results lie. Default: $REIDBENCH_STORE, or .reidbench/.")
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away: plans and tables are many objects and little garbage, and it looks at all."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@uncollected()
def load_plugins(without: list[str] | None) -> Registry:
    """The plugins that load; standard error names the others."""
    from reidbench.registry import plugins

    registry = plugins.load(frozenset(without or ()))
    for complaint in registry.complaints():
        print(f"reidbench: {complaint}", file=sys.stderr)
    return registry


@uncollected()
def read_plan(file: Path, registry: Registry, overrides: list[str] | None) -> Plan:
    """The plan of a matrix file. Raises ConfigError with every mistake."""
    from reidbench.matrix import plan, reader

    return plan.expand(reader.read(file, registry, overrides or ()))


def note(text: str) -> None:
    """Something that a person should read, on standard error."""
    from reidbench.registry.plugins import printable

    print(printable(f"note: {text}"), file=sys.stderr)


def plan_or_board(file: Path, registry: Registry, overrides: list[str] | None, store: Store) -> Plan:
    """As `read_plan`; where a plugin of the file is gone, the plan of the board that the store keeps of it."""
    from reidbench.packs import lasting

    try:
        return read_plan(file, registry, overrides)
    except ConfigError as error:
        plan, said = lasting.board_instead(error, file, overrides, store)
        note(said)
        return plan


def matching(plan: Plan, only: str) -> Plan:
    """The part of a plan that `--only` means. Raises ReidbenchError where it means nothing."""
    from reidbench.matrix.stage import matches

    rows = [row for row in plan.rows if matches(only, row.method, row.task)]
    if not rows:
        raise ReidbenchError(f"--only {only!r} matches no method and no method/task")
    return plan.only(rows)


def store_at(given: Path | None) -> Store:
    """The store that was asked for, of $REIDBENCH_STORE, or in `.reidbench`. Raises ReidbenchError for an unknown ~."""
    from reidbench.store.artifacts import Store

    return Store(at_home(given or Path(os.environ.get("REIDBENCH_STORE") or ".reidbench")))


def at_home(path: Path) -> Path:
    """A path whose `~` is the home folder. Raises ReidbenchError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise ReidbenchError(f"{path}: no home folder is known for `~`: set HOME, or give the whole path") from None


def whole(least: int = 0) -> Callable[[str | int], int]:
    """Reads a whole number from `least`, in plain digits: neither 1_000 nor digits of other scripts."""

    def integer(given: str | int) -> int:
        from reidbench.matrix.yamlfile import LARGEST, LONGEST_NUMBER, WHOLE, shown

        text = str(given)
        if len(text) > LONGEST_NUMBER or not WHOLE.fullmatch(text) or not least <= int(text) < LARGEST:
            raise typer.BadParameter(f"must be a whole number from {least} in plain digits, not {shown(text)}")
        return int(text)

    return integer


def decimal(given: str | float) -> float:
    """Reads a finite number in plain digits: neither 1_000 nor nan."""
    from reidbench.matrix.yamlfile import DECIMAL, LONGEST_NUMBER, shown

    text = str(given)
    if len(text) > LONGEST_NUMBER or not DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise typer.BadParameter(f"must be a number like 12, 0.5 or 1e3, not {shown(text)}")
    return float(text)


def positive(given: str | float) -> float:
    """Reads a number above 0."""
    from reidbench.matrix.yamlfile import shown

    if decimal(given) <= 0:
        raise typer.BadParameter(f"must be above 0, not {shown(str(given))}")
    return decimal(given)
