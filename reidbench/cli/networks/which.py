"""Options that select trained networks by a key or by a row of a matrix file, and the selected networks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from reidbench.cli.options import load_plugins, read_plan, store_at, warn_of_conflicts, whole
from reidbench.errors import ReidbenchError

if TYPE_CHECKING:
    from reidbench.export.features import Networks
    from reidbench.export.networks import Member
    from reidbench.matrix.stage import Plan, Row
    from reidbench.registry.plugins import Registry
    from reidbench.store.artifacts import Store

KEY = "Key of a network, features or result (see `table --format json`), or its first characters; omit with --file"
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Matrix file that contains the row, instead of KEY.")
]
RowOption = Annotated[str | None, typer.Option("--row", metavar="METHOD", help="With --file: the method.")]
TaskOption = Annotated[str | None, typer.Option("--task", metavar="TASK", help="With --file: the task.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", parser=whole(0), help="With --file: the seed, if the row has several."),
]
WorkersOption = Annotated[int, typer.Option(parser=whole(0), help="Image-loading threads.")]
FlipOption = Annotated[
    bool,
    typer.Option("--flip", help="Average with the features of the mirrored images. Rows with `flip` always do."),
]
ModalityOption = Annotated[
    str | None,
    typer.Option(
        "--modality",
        metavar="WORD",
        help="Modality of all images, such as visible or infrared, for a network that depends on it.",
    ),
]
GalleryModalityOption = Annotated[
    str | None,
    typer.Option(metavar="WORD", help="Modality of the gallery images, if different from --modality."),
]


class Selected(NamedTuple):
    """The store, the plugins, the selected networks, and their row and its plan if a matrix file named it."""

    store: Store
    registry: Registry
    members: list[Member]
    row: Row | None = None
    plan: Plan | None = None


@dataclass(frozen=True)
class Which:
    """Options that select networks, by key or by a row of a matrix file."""

    stores: list[Path] | None
    file: Path | None
    row: str | None
    task: str | None
    seed: int | None
    overrides: list[str] | None

    def split(self, words: Sequence[str]) -> tuple[str | None, list[str]]:
        """Split the arguments into the key, None with --file, and the rest. Raises ReidbenchError for stray options."""
        if self.file is not None:
            return None, [*words]
        given = {"--row": self.row, "--task": self.task, "--seed": self.seed, "--set": self.overrides}
        for option, value in given.items():
            if value is not None:
                raise ReidbenchError(f"{option} requires --file FILE, the matrix file that contains the row")
        return (words[0] if words else None), [*words[1:]]

    def selected(self, key: str | None) -> Selected:
        """Return the selected networks. Raises ReidbenchError if there are none, or several rows match."""
        from reidbench.export import networks, rows

        the_store = store_at(self.stores)
        if self.file is None:
            if not key:
                raise ReidbenchError("no network given; give its KEY, or --file FILE --row METHOD --task TASK --seed N")
            members = networks.members_of(the_store, key)
            warn_of_conflicts(the_store)
            return Selected(the_store, load_plugins(None), members)
        registry = load_plugins(None)
        options = [word for value in self.overrides or () for word in ("--set", value)]
        options += ["--store", str(self.stores[0])] if self.stores else []  # the store that a run would write to
        choice = rows.Choice(self.file, self.row, self.task, self.seed, options)
        plan = read_plan(self.file, registry, self.overrides, the_store)
        members = choice.members(plan, the_store)
        warn_of_conflicts(the_store)
        return Selected(the_store, registry, members, choice.row(plan), plan)

    def networks(self, key: str | None, workers: int, flip: bool, modality: str | None = None) -> Networks:
        """Return the networks, ready to embed images."""
        return loaded(self.selected(key), workers, flip, modality)

    def alone(self, key: str | None) -> str | None:
        """Return the key of a command without other arguments. Raises ReidbenchError for a key and --file together."""
        found, others = self.split([] if key is None else [key])
        if others:
            raise ReidbenchError(f"both a key ({others[0]}) and --file are given; remove one of them")
        return found


def loaded(chosen: Selected, workers: int, flip: bool, modality: str | None) -> Networks:
    """Return the selected networks, ready to embed images."""
    from reidbench.export.features import Networks

    return Networks(chosen.members, flip, workers).load(chosen.store, chosen.registry, modality)


def note(notes: Iterable[str]) -> None:
    """Print notes on standard error."""
    for one in notes:
        print(f"note: {printable(one)}", file=sys.stderr)


def printable(line: str) -> str:
    """Return a line with control characters escaped."""
    from reidbench.registry import plugins

    return plugins.printable(line)
