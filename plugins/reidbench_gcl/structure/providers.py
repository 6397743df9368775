"""Providers of each image's body structure: known, released, or rendered from a user's bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from reidbench import PrepareContext
from reidbench.data.hidden import Sidecar
from reidbench.errors import DataError

from .anny_body import AnnyBody
from .meshes import MESH_SUFFIXES, ImageArrays, Mesh, checked_cam, files_of_images, read_mesh
from .params import AnnyParams, MeshParams, ReleaseParams, SmplParams, SyntheticStructureParams
from .renderer import Camera, in_view, render_turned
from .smpl import SmplModel
from .structure_maps import WHITE, refuse_missing, to_grey, write_structure_maps

BY_STEM = "; files belong to the image with the same name without suffix"


# ---------------------------------------------------------------------- known or released
def synthetic_structure(ctx: PrepareContext[SyntheticStructureParams]) -> None:
    """Write the data set's own structure maps, turned as its `view` turns persons; images without a person are missing.

    Raises DataError for data without structure.
    """
    if not hasattr(ctx.truth, "structure"):
        raise DataError("synthetic-structure needs rendered data: these data have no structure of their persons")
    turns = np.radians([0, *ctx.params.angles]).tolist()

    def make(index: int) -> np.ndarray | None:
        if not ctx.truth.relevance(index):
            return None
        return np.stack([to_grey(ctx.truth.structure(index, yaw), ctx.image_size) for yaw in turns])

    write_structure_maps(ctx, "synthetic-structure", make)


def gcl_release(ctx: PrepareContext[ReleaseParams]) -> None:
    """Read the authors' renders as luma: `<folder>/<part>/render/<file name>` as seen, `render_45`, ... turned.

    An image that lacks any of its files is missing. Only the size changes, so the background is that of the files. The
    sense of rotation is the authors'. Raises DataError as `refuse_missing` does.
    """
    columns = _released(ctx, ctx.params)
    gaps = {name: sidecar.missing() for name, sidecar in columns.items()}
    missing = sorted(set().union(*gaps.values()))
    counts = ", ".join(f"{name} {len(gap)}" for name, gap in gaps.items() if gap)
    refuse_missing(ctx, "gcl-release", missing, f"; missing files: {counts}")
    absent = set(missing)

    def make(index: int) -> np.ndarray | None:
        if index in absent:
            return None
        return np.stack([to_grey(sidecar.image(index), ctx.image_size) for sidecar in columns.values()])

    write_structure_maps(ctx, "gcl-release", make)


def _released(ctx: PrepareContext[ReleaseParams], params: ReleaseParams) -> dict[str, Sidecar]:
    """Return the files of each rendered folder, the view as seen first. Raises DataError for any other folder."""
    place = params.folder / params.part
    if not (place / "render").is_dir():
        raise DataError(f"{params.folder}: {params.part}/render is missing; give the released folder of one data set")
    # The first four letters of an MSMT17 name are its folder.
    prefix = "{name[0]}{name[1]}{name[2]}{name[3]}/" if params.layout == "identity-folders" else ""
    names = ["render", *(f"render_{angle}" for angle in params.angles)]
    try:
        return {name: ctx.split.sidecar(place / name, prefix + "{name}") for name in names}
    except IndexError:
        raise DataError(
            "gcl-release: layout identity-folders needs file names of at least four letters; use layout: flat"
        ) from None


# ---------------------------------------------------------------------- rendered here
def mesh(ctx: PrepareContext[MeshParams]) -> None:
    """Render bodies from one mesh file per image, joined by stem."""
    params = ctx.params
    files = files_of_images(ctx.split, params.folder, MESH_SUFFIXES)
    missing = [index for index in range(len(ctx.split)) if index not in files]

    def body(index: int) -> Mesh:
        found = read_mesh(files[index])
        return replace(found, vertices=in_view(found.vertices, params.up))

    _render_all(ctx, "mesh", missing, body)


def smpl(ctx: PrepareContext[SmplParams]) -> None:
    """Render bodies from the user's SMPL model file and each image's parameters, with our own skinning."""
    params = ctx.params
    model = SmplModel.load(params.model)
    wanted = ("theta", "beta", "cam") if params.camera == "given" else ("theta", "beta")
    arrays = ImageArrays(ctx.split, params.folder, params.file, wanted)

    def body(index: int) -> Mesh:
        file, found = arrays.of(index)
        try:
            vertices = model.vertices(found["theta"], found["beta"])
        except ValueError as error:
            raise DataError(f"{file}: {error}") from None
        return Mesh(file, in_view(vertices, params.up), model.faces, found.get("cam"))

    _render_all(ctx, "smpl", arrays.missing(len(ctx.split)), body)


def anny(ctx: PrepareContext[AnnyParams]) -> None:
    """Render bodies of the open model Anny, posed by each image's parameters.

    Without parameters every image has the same upright body, facing the viewer: a control without information about
    the image.
    """
    params = ctx.params
    given = params.folder is not None or params.file is not None
    arrays = ImageArrays(ctx.split, params.folder, params.file, (), None)
    missing = arrays.missing(len(ctx.split)) if given else []
    refuse_missing(ctx, "anny", missing, BY_STEM)  # before building the model, which may take minutes
    model = AnnyBody()

    def body(index: int) -> Mesh:
        file, found = arrays.of(index) if given else (Path("anny"), {})
        try:
            vertices = model.of_arrays(found, params.arms)
        except ValueError as error:
            raise DataError(f"{file}: {error}") from None
        return Mesh(file, vertices, model.faces, found.get("cam"))

    _render_all(ctx, "anny", missing, body)


Rendered = PrepareContext[MeshParams | SmplParams | AnnyParams]


def _render_all(ctx: Rendered, provider: str, missing: list[int], body: Callable[[int], Mesh]) -> None:
    """Render structure maps of all images; `body` returns the body of one in the image's frame.

    Raises DataError for missing images before anything is rendered.
    """
    refuse_missing(ctx, provider, missing, BY_STEM)
    absent = set(missing)

    def make(index: int) -> np.ndarray | None:
        return None if index in absent else _views(ctx, body(index), index)

    write_structure_maps(ctx, provider, make)


def _views(ctx: Rendered, body: Mesh, index: int) -> np.ndarray:
    params: MeshParams | SmplParams | AnnyParams = ctx.params
    height, width = ctx.split.image(index).shape[:2]
    try:
        if params.camera == "fit":
            camera = Camera.fit(body.vertices, ctx.image_size, params.fill, (height, width))
        elif body.cam is None:
            raise ValueError("cam (s, tx, ty) is missing, and camera: given needs it")
        else:
            camera = Camera.weak_perspective(checked_cam(body.file, body.cam), ctx.image_size, (height, width))
    except ValueError as error:
        raise DataError(f"{body.file}: {error}") from None
    views = render_turned(body.vertices, body.faces, camera, ctx.image_size, params.angles)
    if (views[0] == WHITE).all():
        raise DataError(f"{body.file}: the whole body is outside the image")
    return views
