"""`reidbench verify`: recompute the results of a pack with your own data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.cli.options import WithoutOption, at_home, load_plugins, whole

if TYPE_CHECKING:
    from reidbench.packs.checks.verify import Verified

app = typer.Typer()


@app.command("verify")
def verify_pack(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="Pack written by `reidbench pack`.", show_default=False)],
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="Your copy of a data set of the pack: its folder or CSV file. Repeatable."
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Store the results that pass, with the numbers computed here.")
    ] = None,
    retrain: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=whole(1), help="Retrain N randomly drawn results. Runs code of the pack's methods."
        ),
    ] = None,
    draw: Annotated[
        int | None,
        typer.Option(metavar="SEED", parser=whole(), help="Seed of the draw of --retrain, to repeat an earlier one."),
    ] = None,
    signers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Accepted signers: an allowed_signers file of ssh-keygen.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write a JSON report.")] = None,
    without: WithoutOption = None,
) -> None:
    """Recompute the results of a pack from its features, with the labels of your own data.

    Requires the plugins of its data sets and evaluators, and for --retrain those of its methods. Data sets that the
    matrix file locates by a ${VARIABLE} are found through it, others through --root; rendered ones need neither.
    A row is re-scored if its features give its numbers, and re-trained if training it again gives them too. Only
    retraining detects features that were forged from the labels. Exit code 1 if something does not match.
    """
    from rich.console import Console

    from reidbench.execution import progress
    from reidbench.packs.checks.verify import Asked, root_given, verify
    from reidbench.packs.reading import Pack

    roots = {name: at_home(place) for name, place in map(root_given, root or ())}
    asked = Asked(roots, retrain or 0, draw, at_home(signers) if signers else None, at_home(store) if store else None)
    registry = load_plugins(without)
    with Pack(at_home(pack)) as opened, progress.make(Console(stderr=True)) as display:
        found = verify(opened, registry, asked, display)
        if output:
            _write(at_home(output), found)
    _print(found)
    if found.findings.mismatches:
        raise typer.Exit(1)


def _write(file: Path, found: Verified) -> None:
    from reidbench.errors import ReidbenchError
    from reidbench.files.atomic import write_whole

    try:
        write_whole(file, (json.dumps(found.report(), indent=1) + "\n").encode())
    except OSError as error:
        raise ReidbenchError(f"{file}: cannot be written: {error.strerror}") from None


def _print(found: Verified) -> None:
    from reidbench.registry.plugins import printable

    print(f"digest: {found.pack.digest}")
    if found.signed_by:
        print(printable(f"signed by: {found.signed_by}"))
    if found.draw is not None:
        print(f"drawn with: --draw {found.draw}")
    for note in found.findings.notes:
        print(f"note: {note}", file=sys.stderr)
    for mismatch in found.findings.mismatches:
        print(f"mismatch: {mismatch}")
    counts = [f"{count} {word}" for word, count in sorted(found.counts.items())]
    print(f"results: {', '.join(counts) or 'none'}; mismatches: {len(found.findings.mismatches)}")
    if found.published:
        print(f"published: {found.published}")
