"""`reidbench embed`, `export` and `search`: use trained networks from a store."""

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


@dataclass(frozen=True)
class _Which:
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

    def members(self, key: str | None) -> tuple[Store, Registry, list[Member]]:
        """Return the store, the plugins and the selected networks."""
        from reidbench.export import networks, rows

        the_store = store_at(self.stores)
        if self.file is None:
            if not key:
                raise ReidbenchError("no network given; give its KEY, or --file FILE --row METHOD --task TASK --seed N")
            members = networks.members_of(the_store, key)
            warn_of_conflicts(the_store)
            return the_store, load_plugins(None), members
        registry = load_plugins(None)
        options = [word for value in self.overrides or () for word in ("--set", value)]
        options += ["--store", str(self.stores[0])] if self.stores else []  # the store that a run would write to
        choice = rows.Choice(self.file, self.row, self.task, self.seed, options)
        members = choice.members(read_plan(self.file, registry, self.overrides, the_store), the_store)
        warn_of_conflicts(the_store)
        return the_store, registry, members

    def networks(self, key: str | None, workers: int, flip: bool, modality: str | None = None) -> Networks:
        """Return the networks, ready to embed images."""
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
            help=f"{KEY}. Then images and folders of images, or one CSV manifest (path,pid,split[,camid]).",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output file.", show_default=False)],
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
    """Compute features of images with a trained network. Writes an .npz or .mat file that `score` reads.

    For images the file has `features` [N, D] and `names` [N]; for a manifest, `query_features`, `query_pids`,
    `query_camids`, `gallery_features`, ... of its query and gallery.
    """
    from reidbench.export import features

    which = _Which(store, file, row, task, seed, overrides)
    key, given = which.split(words)
    if not given:
        raise ReidbenchError(
            "no images given; name images, folders or a manifest (.csv), after the KEY unless --file is given"
        )
    images = [Path(word) for word in given]
    features.writer_of(out)  # reject an unknown extension before anything is computed
    manifest = features.manifest_among(images)
    if manifest is None:
        features.pictures(images)  # report a missing file before the network is built
        _note(features.left_out(images))
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_pictures(networks, images, out, modality)
    else:
        parts, notes = features.labelled_parts(manifest)
        _note(notes)
        parts = {part: features.of_modality(one, modality, f"the {part} images") for part, one in parts.items()}
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_parts(networks, parts, out)
    _note(notes)
    _say(f"{out}: {made}, by {networks.name}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="Output file.", show_default=False)],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False, help=f"{KEY}.")] = None,
    form: Annotated[
        Literal["onnx", "safetensors"],
        typer.Option("--format", help="onnx: the whole network; safetensors: the backbone's weights."),
    ] = "onnx",
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    modality: ModalityOption = None,
) -> None:
    """Export a trained network for other programs, together with its image preprocessing."""
    from reidbench.export import networks

    which = _Which(store, file, row, task, seed, overrides)
    found, others = which.split([] if key is None else [key])
    if others:
        raise ReidbenchError(f"both a key ({others[0]}) and --file are given; remove one of them")
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
            help=f"{KEY}. Then the gallery: a folder of images, a manifest (its gallery part), or an .npz that "
            "`embed` wrote with the same network. Then the query images, or folders of them.",
        ),
    ],
    top: Annotated[int, typer.Option(parser=whole(1), help="Number of matches per query.")] = 10,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="PAGE.html", help="Also write an HTML page with the images.")
    ] = None,
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    rerank: Annotated[
        Variant | None, typer.Option(help="k-reciprocal re-ranking among queries and gallery, in this variant.")
    ] = None,
    workers: WorkersOption = 0,
    flip: FlipOption = False,
    modality: ModalityOption = None,
    gallery_modality: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Modality of the gallery images, if different from --modality."),
    ] = None,
) -> None:
    """Find the gallery images nearest to each query with a trained network. Prints rank, distance and path.

    Distances are 1 - cosine similarity. To search one gallery many times, `embed` it once and pass the .npz.
    """
    from reidbench.export import features
    from reidbench.export.places import check_place, written
    from reidbench.retrieval import gallery, page, search

    which = _Which(store, file, row, task, seed, overrides)
    key, given = which.split(words)
    if len(given) < 2:
        raise ReidbenchError("search requires a GALLERY and at least one QUERY, after the KEY unless --file is given")
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
