"""`reidbench pack` and `merge`: export results as a pack, and merge stores and packs."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidbench.cli.options import (
    FileArgument,
    OnlyOption,
    SetOption,
    StoreOption,
    WithoutOption,
    load_plugins,
    note,
    one_store_at,
    plan_or_board,
    store_at,
)
from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.matrix.stage import Plan
    from reidbench.packs.writing import Written
    from reidbench.store.artifacts import Store

app = typer.Typer()

ZIP = b"PK"  # start of every zip file
MOST_NAMED = 20  # missing rows that are listed


@app.command("pack")
def write(
    file: FileArgument,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.zip", help="Output file.", show_default=False)],
    store: StoreOption = None,
    features: Annotated[
        bool, typer.Option("--features", help="Include the features in half precision, so that others can re-score.")
    ] = False,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the digest with this SSH key (needs ssh-keygen).")
    ] = None,
    host: Annotated[
        bool, typer.Option("--host", help="Include the names of the hosts that computed the results.")
    ] = False,
    only: OnlyOption = None,
    overrides: SetOption = None,
    without: WithoutOption = None,
) -> None:
    """Write the results of a matrix file to one zip file, without weights, local paths and user names."""
    from rich.console import Console

    from reidbench.packs import lasting, signing, writing
    from reidbench.progressbar import going_through

    _check_out(out)
    the_store = store_at(store)
    plan = plan_or_board(file, load_plugins(without), overrides, the_store).matching(only or ())
    with going_through(Console(stderr=True)) as through:
        written = writing.write_pack(
            plan,
            the_store,
            out,
            lasting.set_words(overrides),
            features=features,
            with_host=host,
            sign=(lambda digest: signing.sign(digest, sign)) if sign else None,
            without=without or (),
            through=through,
        )
    _describe(written, out, features)


def _check_out(out: Path) -> None:
    """Raise ReidbenchError if the file exists and is not a zip file, so that a mistyped option overwrites nothing."""
    if out.exists() and not is_pack(out):
        raise ReidbenchError(f"{out}: this file exists and is not a pack; give another name")


def _describe(written: Written, out: Path, features: bool) -> None:
    from reidbench.registry.plugins import printable

    lines = [f"{out}: {written.size} bytes", f"digest: {written.digest}"]
    lines.append(f"{written.rows} results, {len(written.missing)} of them missing")
    for row in written.missing[:MOST_NAMED]:
        seed = "" if row.seed is None else f", seed {row.seed}"
        lines.append(f"  missing: {row.method} on {row.task} by {row.evaluator}{seed}")
    if len(written.missing) > MOST_NAMED:
        lines.append(f"  and {len(written.missing) - MOST_NAMED} more")
    if features:
        lines.append(f"{written.features} of {written.evaluations} evaluations include their features")
    print("\n".join(map(printable, lines)))
    for sentence in written.left_out:
        note(f"left out: {sentence}")


@app.command()
def merge(
    sources: Annotated[
        list[Path], typer.Argument(metavar="STORE|PACK...", show_default=False, help="Stores and packs to add.")
    ],
    store: Annotated[Path, typer.Option("--store", metavar="DIR", help="Store to add to.", show_default=False)],
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="The packs are your own: do not mark their results `self-reported`."),
    ] = False,
) -> None:
    """Add the results of stores and packs to a store.

    Nothing is overwritten. Conflicting and rejected results are reported, with exit code 1.
    """
    from rich.console import Console

    from reidbench.packs import merging
    from reidbench.progressbar import going_through
    from reidbench.registry.plugins import printable

    target = one_store_at([store], "merge")
    with contextlib.ExitStack() as held:
        opened = [merging.open_source(path, trusted=trusted) for path in sources]
        for source in opened:
            held.callback(source.close)
            if isinstance(source, merging.PackSource):
                print(printable(f"{source.pack.path.name}: digest {source.pack.digest}"))
        with going_through(Console(stderr=True)) as through:
            done = merging.merge(opened, target, through)
    for sentence in done.left_out:
        note(f"left out: {sentence}")
    for sentence in done.conflicts:
        print(printable(f"conflict: {sentence}"), file=sys.stderr)
    counts = f"{done.artifacts} results and {done.records} manifests added, {done.there} already present"
    print(
        f"{counts}; {len(done.conflicts)} conflicts, {len(done.left_out)} left out; results: {target.root.absolute()}"
    )
    if done.conflicts or done.left_out:
        sys.exit(1)


# ---------------------------------------------------------------------- tables of packs
def is_pack(file: Path) -> bool:
    """Return whether a file starts like a zip file, as no matrix file does."""
    try:
        if not file.is_file():  # a pipe can be read only once
            return False
        with file.open("rb") as stream:
            return stream.read(len(ZIP)) == ZIP
    except (OSError, ValueError):
        return False


def unpacked(
    context: typer.Context,
    file: Path,
    store: list[Path] | None,
    overrides: list[str] | None,
    checked: Store | None = None,
) -> tuple[Plan, Store]:
    """Return the plan of a pack and a temporary store of its contents, removed at the end of the command.

    Rows that `verify` has published in `checked` take their numbers and status from there. Raises ReidbenchError.
    """
    if store or overrides:
        raise ReidbenchError(f"{file} is a pack, which contains its results; remove --store and --set")
    return context.with_resource(_unpacked(file, checked))


@contextlib.contextmanager
def _unpacked(file: Path, checked: Store | None) -> Iterator[tuple[Plan, Store]]:
    from reidbench.packs import merging
    from reidbench.packs.reading import Pack
    from reidbench.store.artifacts import Store

    with Pack(file) as pack, tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        source = merging.PackSource(pack, trusted=False)
        sources: list[merging.Source] = [source]
        if checked is not None:
            from reidbench.packs.checks.checked import CheckedSource

            sources.insert(0, CheckedSource(checked, pack))
        store = Store(Path(folder))
        merging.merge(sources, store)
        yield source.plan, store
