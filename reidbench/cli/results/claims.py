"""`reidbench claims`: verdicts on the claims of matrix files and packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.cli.options import (
    JsonOption,
    SetOption,
    StoreOption,
    WithoutOption,
    load_plugins,
    plan_or_board,
    store_at,
    uncollected,
    warn_of_changes,
    warn_of_conflicts,
)
from reidbench.errors import ReidbenchError

from .packs import is_pack, unpacked
from .table import put

if TYPE_CHECKING:
    from reidbench.matrix.stage import Plan
    from reidbench.registry.plugins import Registry
    from reidbench.report.claims.texts import Judged
    from reidbench.store.artifacts import Store

app = typer.Typer()


@app.command()
@uncollected()
def claims(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|PACK...", show_default=False, help="Matrix files (YAML) with claims, and packs."),
    ],
    as_json: JsonOption = False,
    store: StoreOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write to this file instead of standard output.")
    ] = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
) -> None:
    """Print the verdicts on the claims of files: reproduced, refuted or undecided, by each file's own rule.

    The exit code does not depend on the verdicts. Runs nothing; a claim with missing results is undecided.
    """
    from reidbench.report.claims import texts

    registry = load_plugins(without)
    own = store_at(store) if store or not all(map(is_pack, files)) else None
    given: list[Judged] = []
    for file in files:
        if is_pack(file):
            plan, the_store = unpacked(context, file, None, overrides, own if store else None)
            given.append(_judged(file, plan, the_store, None))
        elif own is not None:
            given.append(_judged(file, plan_or_board(file, registry, overrides, own), own, registry))
    if own is not None:
        warn_of_conflicts(own)
    put(texts.as_json(given) if as_json else texts.markdown(given), out, "", markdown=not as_json)


def _judged(file: Path, plan: Plan, store: Store, registry: Registry | None) -> Judged:
    """Return the results of a plan with its claims. Raises ReidbenchError for a file without claims."""
    from rich.console import Console

    from reidbench import report
    from reidbench.progressbar import going_through
    from reidbench.report.claims import texts

    if not plan.benchmark.claims:
        raise ReidbenchError(
            f"{file} has no `claims:`; add some, for example `claims: [{{say: TEXT, better: ROW, than: ROW}}]`"
        )
    with going_through(Console(stderr=True)) as through:
        board = report.collect(plan, store, through=through)
    if registry is not None:
        warn_of_changes(board, registry)
    return texts.judged(board, plan, store)
