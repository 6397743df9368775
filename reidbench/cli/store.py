"""`reidbench curves` and `clean`: export the logs of a store, and clean it up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.errors import StoreError

from .options import (
    SetOption,
    StoreOption,
    WithoutOption,
    load_plugins,
    note,
    one_store_at,
    read_resolved,
    store_at,
    warn_of_conflicts,
    where,
)

if TYPE_CHECKING:
    from reidbench.store.artifacts import Store
    from reidbench.store.cleaning import Leftover

app = typer.Typer()


@app.command()
def curves(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Output folder.", show_default=False)],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Only the stages of this matrix file.", show_default=False)
    ] = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
) -> None:
    """Write the logged values of finished stages as TensorBoard runs. Existing runs are not rewritten."""
    from reidbench.export.tensorboard import write_curves
    from reidbench.registry import plugins

    the_store = store_at(store)
    keys = the_store.keys()
    if file is not None:
        found = read_resolved(file, load_plugins(without), overrides, the_store)
        keys &= found.plan.stages.keys() | found.trials.stages.keys()
    written, left_out = write_curves(the_store, keys, out)
    warn_of_conflicts(the_store)
    for sentence in left_out:
        print(plugins.printable(f"note: {sentence}"), file=sys.stderr)
    print(f"{written} new runs; view them with: tensorboard --logdir {out}")


@app.command()
def clean(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", show_default=False, help="Matrix files whose artifacts to keep.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed; remove nothing.")] = False,
    store: StoreOption = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, as in the runs to keep. Repeatable."),
    ] = None,
    without: WithoutOption = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Also remove what `table --history` shows: results of earlier versions of these files, and boards.",
        ),
    ] = False,
) -> None:
    """Remove artifacts that none of these files needs, and leftovers of dead workers. Running stages are kept.

    Results of earlier versions of the files are kept unless `--history` is given. Manifests of artifacts that a
    recorded board names are always kept.
    """
    from rich.console import Console

    from reidbench.matrix.keys import of_network
    from reidbench.packs import lasting
    from reidbench.progressbar import going_through
    from reidbench.registry import plugins
    from reidbench.store import cleaning

    the_store = one_store_at(store, "clean")
    registry = load_plugins(without)
    resolved = [read_resolved(file, registry, overrides, the_store) for file in files]
    plans = [one.plan for one in resolved]
    stages = [stage for one in resolved for plan in (one.plan, one.trials) for stage in plan.stages.values()]
    published = the_store.keys()
    elsewhere = {one for stage in stages if stage.kind == "profile" for one in of_network(stage.key, published)}
    needed = {stage.key for stage in stages} | elsewhere  # keep measurements of other machines
    kept = lasting.kept(the_store, plans, history)
    if results := kept.results & published - needed:
        counted = "1 result" if len(results) == 1 else f"{len(results)} results"
        shows = "`table --history` shows them, `clean --history` removes them"
        note(f"kept: {counted} of earlier versions of these files; {shows}")
    with going_through(Console(stderr=True)) as through:
        gone = cleaning.leftovers(the_store, needed | kept.results, note, through, kept.named, kept.boards)
        if not dry_run:
            gone = [one for one in through("removing", gone) if _removed(the_store, one)]
    for one in gone:
        print(
            plugins.printable(f"{'would remove' if dry_run else 'removed'} {one.what} {one.key} ({_bytes(one.size)})")
        )
    words = "to remove" if dry_run else "removed"
    print(f"{len(gone)} items {words}, {_bytes(sum(one.size for one in gone))}; {where(the_store)}")


def _removed(store: Store, one: Leftover) -> bool:
    """Remove a leftover. Returns whether it is removed; an error is reported as a note."""
    from reidbench.store import cleaning

    try:
        return cleaning.remove(store, one)
    except OSError as error:
        note(f"{one.path}: cannot be removed: {error.strerror or error}")
    except StoreError as error:
        note(f"{one.path}: not removed because its manifest cannot be kept: {error}")
    return False


def _bytes(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.1f} GB"
