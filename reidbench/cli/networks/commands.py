"""`reidbench embed`, `export` and `search`: use trained networks from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reidbench.cli.options import SetOption, StoreOption, Variant, whole
from reidbench.errors import ReidbenchError

from .which import (
    KEY,
    FileOption,
    FlipOption,
    GalleryModalityOption,
    ModalityOption,
    RowOption,
    SeedOption,
    TaskOption,
    Which,
    WorkersOption,
    note,
    printable,
)

app = typer.Typer()


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

    which = Which(store, file, row, task, seed, overrides)
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
        note(features.left_out(images))
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_pictures(networks, images, out, modality)
    else:
        parts, notes = features.labelled_parts(manifest)
        note(notes)
        parts = {part: features.of_modality(one, modality, f"the {part} images") for part, one in parts.items()}
        networks = which.networks(key, workers, flip, modality)
        made, notes = features.embed_parts(networks, parts, out)
    note(notes)
    _say(f"{out}: {made}, by {networks.name}")


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="Output file or folder.", show_default=False)],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False, help=f"{KEY}.")] = None,
    form: Annotated[
        Literal["onnx", "safetensors", "folder"],
        typer.Option(
            "--format",
            help="onnx: the whole network; safetensors: the backbone's weights; folder: the whole network with a model "
            "card, in the layout of the Hugging Face hub.",
        ),
    ] = "onnx",
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    modality: ModalityOption = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="ID", help="Licence of the weights for the card of a folder, such as apache-2.0."
        ),
    ] = None,
) -> None:
    """Export a trained network for other programs, together with its image preprocessing."""
    from reidbench.export import networks

    if licence is not None and form != "folder":
        raise ReidbenchError("--license requires --format folder; remove it")

    which = Which(store, file, row, task, seed, overrides)
    found = which.alone(key)
    chosen = which.selected(found)
    artifact = networks.only_member(chosen.members, found or row or "the row")
    embedder = networks.load(chosen.store, artifact, chosen.registry)
    if form != "folder":
        lines = networks.export(embedder, artifact, form, out, modality)
    elif modality:
        raise ReidbenchError("--modality requires --format onnx; remove it")
    else:
        from reidbench.export.folder import export_folder

        from .publishing import privacy, tested

        result = tested(chosen, found, artifact)
        more = {"flip": chosen.members[0].flip, "licence": licence, **privacy(chosen)}
        lines = export_folder(embedder, artifact, chosen.store, chosen.registry, out, result, **more)
    for line in lines:
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
    gallery_modality: GalleryModalityOption = None,
) -> None:
    """Find the gallery images nearest to each query with a trained network. Prints rank, distance and path.

    Distances are 1 - cosine similarity. To search one gallery many times, `embed` it once and pass the .npz.
    """
    from reidbench.export import features
    from reidbench.export.places import check_place, written
    from reidbench.retrieval import gallery, page, search

    which = Which(store, file, row, task, seed, overrides)
    key, given = which.split(words)
    if len(given) < 2:
        raise ReidbenchError("search requires a GALLERY and at least one QUERY, after the KEY unless --file is given")
    place = Path(given[0])
    opened = gallery.of_one_modality(gallery.open_gallery(place), gallery_modality, modality)
    queries = features.pictures([Path(word) for word in given[1:]])
    if out is not None:
        check_place(out)
    if place.is_dir():
        note(features.left_out([place]))
    networks = which.networks(key, workers, flip, modality or gallery_modality)
    asked = networks.readable(features.split_of(queries, modality), "query_features")
    note(asked.notes)
    there = gallery.embedded(opened, networks)
    note(there.notes)
    found = search.find(asked, there, top, rerank)
    for line in search.lines(found):
        _say(line)
    if out is not None:
        ranking = f"Re-ranked ({rerank})" if rerank else "Cosine distance"
        with written(out) as beside:
            beside.write_text(page.render(found, networks.name, ranking), encoding="utf-8")


def _say(line: str) -> None:
    print(printable(line))
