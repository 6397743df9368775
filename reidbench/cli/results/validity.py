"""`reidbench validity`: compare the order of methods in results with the published order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reidbench.cli.options import (
    StoreOption,
    WithoutOption,
    load_plugins,
    plan_or_board,
    store_at,
    uncollected,
    warn_of_conflicts,
)
from reidbench.errors import ReidbenchError

from .packs import is_pack, unpacked

app = typer.Typer()


@app.command()
@uncollected()
def validity(
    context: typer.Context,
    groups: Annotated[
        Path,
        typer.Argument(metavar="GROUPS", show_default=False, help="File that maps rows to published numbers (YAML)."),
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|PACK...", show_default=False, help="Matrix files and packs.")
    ],
    store: StoreOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write to this file instead of standard output.")
    ] = None,
    without: WithoutOption = None,
) -> None:
    """Print Kendall's tau between the published order of methods and their order in matrix files or packs.

    Runs nothing. benchmarks/validity.yaml is an example of GROUPS.
    """
    from reidbench import report
    from reidbench.report.claims.validity import compared, text
    from reidbench.report.claims.validity.groups import read_groups

    registry = load_plugins(without)
    wanted = read_groups(groups, registry)
    if store and all(map(is_pack, files)):
        raise ReidbenchError("packs contain their results; remove --store")
    own = store_at(store)
    given = []
    for file in files:
        packed = is_pack(file)
        plan, place = unpacked(context, file, None, None) if packed else (plan_or_board(file, registry, None, own), own)
        given.append((report.collect(plan, place), plan))
    found = [[compared.compared(group, *one) for one in given] for group in wanted]
    _put(text.markdown(wanted, found), out)
    warn_of_conflicts(own)


def _put(text: str, out: Path | None) -> None:
    if out is None:
        from .fitting import shown

        sys.stdout.write(shown(text))
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error.strerror}") from None
