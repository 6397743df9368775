"""`reidbench serve`: a search service for a trained row."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from reidbench.cli.options import SetOption, StoreOption, whole
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
    loaded,
    note,
    printable,
)

app = typer.Typer()


@app.command()
def serve(
    folder: Annotated[
        Path, typer.Option("--gallery", metavar="FOLDER", help="Folder of images to search in.", show_default=False)
    ],
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", show_default=False, help=f"{KEY}.")] = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on. Others than this machine's need --allow-remote.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(parser=whole(0), metavar="N", help="Port. Default: 0, any free port.")] = 0,
    allow_remote: Annotated[
        bool,
        typer.Option(
            "--allow-remote",
            help="Let other machines search and see the gallery, without a password and unencrypted.",
        ),
    ] = False,
    index: Annotated[
        Literal["flat", "hnsw"],
        typer.Option(help="faiss index. flat: exact; hnsw: approximate, for galleries of millions of images."),
    ] = "flat",
    upload_limit: Annotated[int, typer.Option(parser=whole(1), metavar="MIB", help="Largest upload, in MiB.")] = 8,
    pixel_limit: Annotated[
        int,
        typer.Option(parser=whole(1), metavar="MEGAPIXELS", help="Largest uploaded image, in 2^20 pixels; at most 85."),
    ] = 16,
    result_limit: Annotated[
        int, typer.Option(parser=whole(1), metavar="N", help="Largest number of images in an answer.")
    ] = 100,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Features of the gallery, written by `embed` with the same network. Default: embed the gallery now.",
        ),
    ] = None,
    file: FileOption = None,
    row: RowOption = None,
    task: TaskOption = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    overrides: SetOption = None,
    workers: WorkersOption = 0,
    flip: FlipOption = False,
    modality: ModalityOption = None,
    gallery_modality: GalleryModalityOption = None,
) -> None:
    """Search a gallery from a browser or a program: upload an image, see the nearest images. Ctrl-C stops it.

    Listens only on this machine, and writes neither uploads nor anything else. /openapi.json describes the interface
    for programs. Requires the extra `serve` and faiss.
    """
    from reidbench.report.formats.extras import require

    require("`reidbench serve`", "fastapi", "uvicorn", "python_multipart", extra="serve")
    from rich.console import Console

    from reidbench.data.pictures.images import MOST_PIXELS
    from reidbench.progressbar import counting
    from reidbench.serving import gallery, server
    from reidbench.serving.assembly import Choices, assemble
    from reidbench.serving.limits import Limits

    which = Which(store, file, row, task, seed, overrides)
    found = which.alone(key)
    check_host(host, allow_remote)
    if pixel_limit << 20 > MOST_PIXELS:
        raise ReidbenchError(f"--pixel-limit {pixel_limit}: must be at most {MOST_PIXELS >> 20}")
    names, notes = gallery.names_in(folder)
    note(notes)
    limits = Limits(upload=upload_limit << 20, pixels=pixel_limit << 20, results=result_limit)
    chosen = which.selected(found)
    networks = loaded(chosen, workers, flip, modality)
    with server.bind(host, port) as bound:  # reports a port in use before minutes of embedding
        choices = Choices(folder, names, index, limits, modality, gallery_modality, features)
        with counting(Console(stderr=True), "embedding the gallery") as progress:
            service, notes = assemble(choices, networks, chosen.row, progress)
        note(notes)
        print(f"{len(service.gallery)} images, by {printable(networks.name)}", file=sys.stderr)
        bound.listen()
        print(f"serving {server.address(bound, host)} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        server.run(service, host, bound)
    print("stopped", file=sys.stderr)


def check_host(host: str, allow_remote: bool) -> None:
    """Warn of a host that other machines reach. Raises ReidbenchError unless that is allowed."""
    from reidbench.serving.server import is_loopback

    if is_loopback(host):
        return
    if not allow_remote:
        raise ReidbenchError(
            f"--host {printable(host)} lets other machines search and see the gallery, without a password and "
            "unencrypted; add --allow-remote if that is intended, or use --host 127.0.0.1"
        )
    note([f"any machine that reaches {host} can search and see the gallery, without a password and unencrypted"])
