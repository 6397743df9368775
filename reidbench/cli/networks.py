"""`reidbench embed`, `export` and `search`: use the trained networks of a store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reidbench.errors import ReidbenchError

from .options import SetOption, StoreOption, Variant, load_plugins, read_plan, store_at, warn_of_conflicts, whole

if TYPE_CHECKING:
    from reidbench.export.features import Networks
    from reidbench.export.networks import Member
    from reidbench.registry.plugins import Registry
    from reidbench.store.artifacts import Store

app = typer.Typer()

KEY = "Key of a network, features or result (`table --format json`), or its beginning; none with --file"
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="In place of KEY: the matrix file that has the row.")
]
RowOption = Annotated[str | None, typer.Option("--row", metavar="METHOD", help="With --file: the method.")]
TaskOption = Annotated[str | None, typer.Option("--task", metavar="TASK", help="With --file: the task.")]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", parser=whole(0), help="With --file: the seed, where the row has several."),
]
WorkersOption = Annotated[int, typer.Option(parser=whole(0), help="Threads that decode images.")]
FlipOption = Annotated[
    bool,
    typer.Option("--flip", help="Average with the features of the mirror images, as rows that say `flip` always do."),
]
ModalityOption = Annotated[
    str | None,
    typer.Option(
        "--modality",
        metavar="WORD",
        help="Modality of all pictures, such as visible or infrared, for a network that treats them by it.",
    ),
]


@dataclass(frozen=True)
class _Which:
    """The networks that a command is to use: those of a key, or those of a row of a file."""

    stores: list[Path] | None
    file: Path | None
    row: str | None
    task: str | None
    seed: int | None
    overrides: list[str] | None

    def split(self, words: Sequence[str]) -> tuple[str | None, list[str]]:
        """The key, where no file is given, and the other words. Raises ReidbenchError for options without --file."""
        if self.file is not None:
            return None, [*words]
        given = {"--row": self.row, "--task": self.task, "--seed": self.seed, "--set": self.overrides}
        for option, value in given.items():
            if value is not None:
                raise ReidbenchError(f"{option} is of a row, so it needs --file FILE, the matrix file that has the row")
        return (words[0] if words else None), [*words[1:]]

    def members(self, key: str | None) -> tuple[Store, Registry, list[Member]]:
        """The networks, and the store and the plugins to load them with."""
        from reidbench.export import networks, rows

        the_store = store_at(self.stores)
        if self.file is None:
            if not key:
                raise ReidbenchError("which network? give its KEY, or --file FILE --row METHOD --task TASK --seed N")
            members = networks.members_of(the_store, key)
            warn_of_conflicts(the_store)
            return the_store, load_plugins(None), members
        registry = load_plugins(None)
        options = [word for value in self.overrides or () for word in ("--set", value)]
        options += ["--store", str(self.stores[0])] if self.stores else []  # where a run that makes the row may write
        choice = rows.Choice(self.file, self.row, self.task, self.seed, options)
        members = choice.members(read_plan(self.file, registry, self.overrides, the_store), the_store)
        warn_of_conflicts(the_store)
        return the_store, registry, members

    def networks(self, key: str | None, workers: int, flip: bool, modality: str | None = None) -> Networks:
        """The networks, ready to embed pictures."""
        from reidbench.export.features import Networks

        the_store, registry, members = self.members(key)
        return Networks(members, flip, workers).load(the_store, registry, modality)


@app.command()
def embed(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KEY] IMAGES...",
            show_default=False,
            help=f"{KEY}. Then pictures and folders of them, or one manifest (path,pid,split[,camid], .csv).",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.", show_default=False)],
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 0,
    flip: FlipOption = False,
    modality: ModalityOption = None,
) -> None:
    """Features of any pictures, by the network of a key or of a row, as an .npz or .mat that `score` reads.

    Of pictures: `features` [N, D] and `names` [N]. Of a manifest: `query_features`, `query_pids`, `query_camids`,
    `gallery_features`, ... of its query and gallery.
    """
    from reidbench.export import features

    which = _Which(store, file, row, task, seed, overrides)
    key, given = which.split(words)
    if not given:
        raise ReidbenchError(
            "no pictures: name some, a folder or a manifest (.csv), after the KEY if no --file is given"
        )
    images = [Path(word) for word in given]
    features.writer_of(out)  # refuses an ending that cannot be written before anything is computed
    manifest = features.manifest_among(images)
    if manifest is None:
        features.pictures(images)  # a name that is not there is reported before a network is built
        _note(features.left_out(images))
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_pictures(networks, images, out, modality)
    else:
        parts, notes = features.labelled_parts(manifest)
        _note(notes)
        parts = {part: features.of_modality(one, modality, f"the {part} pictures") for part, one in parts.items()}
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_parts(networks, parts, out)
    _note(notes)
    _say(f"{out}: {made}, by {networks.name}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.", show_default=False)],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False, help=f"{KEY}.")] = None,
    form: Annotated[
        Literal["onnx", "safetensors"], typer.Option("--format", help="A whole network, or the backbone's weights.")
    ] = "onnx",
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    modality: ModalityOption = None,
) -> None:
    """Write a network of the store for other programs; how pixels are prepared stands beside or inside it."""
    from reidbench.export import networks

    which = _Which(store, file, row, task, seed, overrides)
    found, others = which.split([] if key is None else [key])
    if others:
        raise ReidbenchError(f"both a key ({others[0]}) and --file are given; leave one of them out")
    the_store, registry, members = which.members(found)
    artifact = networks.only_member(members, found or row or "the row")
    for line in networks.export(networks.load(the_store, artifact, registry), artifact, form, out, modality):
        print(line)


@app.command("search")
def search_gallery(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[KEY] GALLERY QUERY...",
            show_default=False,
            help=f"{KEY}. Then what is searched: a folder of pictures, a manifest (its gallery), or an .npz that "
            "`embed` wrote with the same network. Then the pictures to search for, or folders of them.",
        ),
    ],
    top: Annotated[int, typer.Option(parser=whole(1), help="Matches of each query.")] = 10,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="PAGE.html", help="Also write a page with the pictures.")
    ] = None,
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    rerank: Annotated[
        Variant | None, typer.Option(help="k-reciprocal re-ranking among queries and gallery, whose definition.")
    ] = None,
    workers: WorkersOption = 0,
    flip: FlipOption = False,
    modality: ModalityOption = None,
    gallery_modality: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="That of the gallery's pictures, where it is another than --modality."),
    ] = None,
) -> None:
    """Search pictures for those nearest to a query, by the network of a key or of a row: rank, distance, path.

    Distances are 1 - cosine. For many searches in one gallery, `embed` it once and name the .npz.
    """
    from reidbench.export import features
    from reidbench.export.places import check_place, written
    from reidbench.retrieval import gallery, page, search

    which = _Which(store, file, row, task, seed, overrides)
    key, given = which.split(words)
    if len(given) < 2:
        raise ReidbenchError("a search needs a GALLERY and one QUERY or more, after the KEY where no --file is given")
    place = Path(given[0])
    opened = gallery.of_one_modality(gallery.open_gallery(place), gallery_modality, modality)
    queries = features.pictures([Path(word) for word in given[1:]])
    if out is not None:
        check_place(out)
    if place.is_dir():
        _note(features.left_out([place]))
    networks = which.networks(key, workers, flip, modality or gallery_modality)
    asked = features.Named(queries, networks.features(features.split_of(queries, modality), "query_features"))
    there = gallery.embedded(opened, networks)
    _note(there.notes)
    found = search.find(asked, there, top, rerank)
    for line in search.lines(found):
        _say(line)
    if out is not None:
        ranking = f"Re-ranked ({rerank})" if rerank else "Cosine distance"
        with written(out) as beside:
            beside.write_text(page.render(found, networks.name, ranking), encoding="utf-8")


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {_printable(note)}", file=sys.stderr)


def _say(line: str) -> None:
    print(_printable(line))


def _printable(line: str) -> str:
    from reidbench.registry.plugins import printable

    return printable(line)
