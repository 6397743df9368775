"""Where the body structure of each image comes from: known, released, or rendered from a user's bodies."""

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

BY_STEM = "; what is called like an image, endings apart, belongs to it"


# ---------------------------------------------------------------------- known or released
def synthetic_structure(ctx: PrepareContext[SyntheticStructureParams]) -> None:
    """The data set's own structure maps, turned as its `view` turns persons; pictures of nobody are missing.

    Raises DataError for data that do not know their structure.
    """
    if not hasattr(ctx.truth, "structure"):
        raise DataError("synthetic-structure: these data do not know their persons' structure; rendered ones do")
    turns = np.radians([0, *ctx.params.angles]).tolist()

    def make(index: int) -> np.ndarray | None:
        if not ctx.truth.relevance(index):
            return None
        return np.stack([to_grey(ctx.truth.structure(index, yaw), ctx.image_size) for yaw in turns])

    write_structure_maps(ctx, "synthetic-structure", make)


def gcl_release(ctx: PrepareContext[ReleaseParams]) -> None:
    """The authors' renders: `<folder>/<part>/render/<file name>` as seen, `render_45`, ... turned, as luma.

    An image without every one of its files is missing. Nothing but the size is changed, so the background is what
    the files have. The sense of their turns is the authors'. Raises DataError as `refuse_missing` does.
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
    """The files of each rendered folder, the one as seen first. Raises DataError when it is no such release."""
    place = params.folder / params.part
    if not (place / "render").is_dir():
        raise DataError(f"{params.folder}: no {params.part}/render in it; give the released folder of one data set")
    # The first four letters of an MSMT17 name are its folder.
    prefix = "{name[0]}{name[1]}{name[2]}{name[3]}/" if params.layout == "identity-folders" else ""
    names = ["render", *(f"render_{angle}" for angle in params.angles)]
    try:
        return {name: ctx.split.sidecar(place / name, prefix + "{name}") for name in names}
    except IndexError:
        raise DataError("gcl-release: layout identity-folders needs file names of four letters or more") from None


# ---------------------------------------------------------------------- rendered by us
def mesh(ctx: PrepareContext[MeshParams]) -> None:
    """Bodies from one mesh file per image, joined by stem, turned and rendered by us."""
    params = ctx.params
    files = files_of_images(ctx.split, params.folder, MESH_SUFFIXES)
    missing = [index for index in range(len(ctx.split)) if index not in files]

    def body(index: int) -> Mesh:
        found = read_mesh(files[index])
        return replace(found, vertices=in_view(found.vertices, params.up))

    _render_all(ctx, "mesh", missing, body)


def smpl(ctx: PrepareContext[SmplParams]) -> None:
    """Bodies from the user's SMPL model file and each image's parameters, by our own skinning."""
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
    """Bodies of the open model Anny, posed by each image's parameters.

    Without parameters every image has the same standing body, facing the viewer: a control that knows nothing of
    the image.
    """
    params = ctx.params
    given = params.folder is not None or params.file is not None
    arrays = ImageArrays(ctx.split, params.folder, params.file, (), None)
    missing = arrays.missing(len(ctx.split)) if given else []
    refuse_missing(ctx, "anny", missing, BY_STEM)  # before minutes may go into the model
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
    """Structure maps of all images, `body` gives that of one in the picture's frame.

    Raises DataError for missing ones before anything is rendered.
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
            raise ValueError("no cam (s, tx, ty) in it, which camera: given needs")
        else:
            camera = Camera.weak_perspective(checked_cam(body.file, body.cam), ctx.image_size, (height, width))
    except ValueError as error:
        raise DataError(f"{body.file}: {error}") from None
    views = render_turned(body.vertices, body.faces, camera, ctx.image_size, params.angles)
    if (views[0] == WHITE).all():
        raise DataError(f"{body.file}: nothing of the body lies inside the picture")
    return views
