"""Parameters of the structure providers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from reidbench import FileParam, Params
from reidbench.components import ContentHashed

from .angles import ANGLES

# Not `FolderParam | None`: inside a union the mark would not apply, and the content would not enter the key.
MaybeFolder = Annotated[Path | None, ContentHashed(folder=True)]
MaybeFile = Annotated[Path | None, ContentHashed(folder=False)]
ReleasedFolder = Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_gcl.stand_ins:released_renders")]
MeshFolder = Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_gcl.stand_ins:meshes")]
CameraChoice = Literal["fit", "given"]
Up = Literal["y", "-y", "z"]


def _view_angles(angles: tuple[int, ...]) -> tuple[int, ...]:
    if not angles or any(not 0 < angle < 360 for angle in angles) or len(set(angles)) < len(angles):
        raise ValueError("angles must be different whole degrees from 1 to 359; the view as seen is always included")
    return angles


def _npz(file: Path) -> Path:
    # A pickle runs any code that its author put into it, so pickles are never opened.
    if file.suffix != ".npz":
        raise ValueError(
            f"{file.name} is not an .npz, and pickles are never loaded: convert it once, on a machine where you "
            "trust it, with numpy.savez(out, v_template=..., shapedirs=..., posedirs=..., J_regressor=..., "
            "weights=..., kintree_table=..., f=...), all as plain arrays"
        )
    return file


class StructureParams(Params):
    """Parameters shared by all structure providers."""

    angles: Annotated[tuple[int, ...], AfterValidator(_view_angles)] = Field(
        ANGLES,
        description="angles in degrees by which the body is turned about the vertical axis, in addition to "
        "the view as seen",
    )
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="largest fraction of images without structure; these images are left out"
    )
    sheet: int = Field(8, ge=1, description="number of persons on contact-sheet.png, one per row")


class SyntheticStructureParams(StructureParams):
    """Parameters of synthetic-structure."""


class ReleaseParams(StructureParams):
    """Parameters of gcl-release."""

    folder: ReleasedFolder = Field(description="released folder of one data set, with train/render, ...")
    part: Literal["train", "test"] = Field("train", description="subfolder of the images' part")
    layout: Literal["flat", "identity-folders"] = Field(
        "flat",
        description="file layout: flat, as for Market and Duke, or identity-folders, as for MSMT17: folders "
        "named by the file's first four letters",
    )


class BodyParams(StructureParams):
    """Parameters shared by providers that render bodies."""

    fill: float = Field(
        0.94, gt=0, le=1, description="share of the height (or width) that the body fills, with camera: fit"
    )


class MeshParams(BodyParams):
    """Parameters of mesh."""

    folder: MeshFolder = Field(
        description="folder with one .npz (v, f), .obj, .ply or .glb per image, named by the image's stem"
    )
    camera: CameraChoice = Field(
        "fit", description="camera; fit: the body fills the image; given: HMR's cam (s, tx, ty) in each .npz"
    )
    up: Up = Field(
        "y",
        description="axes of the vertices; y: y up and z to the viewer; -y: y down and z away, as in HMR's "
        "camera frame; z: z up and -y to the viewer",
    )


class ParameterParams(BodyParams):
    """Parameters shared by providers that pose a body model with each image's parameters."""

    folder: MaybeFolder = Field(
        None, description="folder with one .npz of parameters per image, named by the image's stem"
    )
    file: MaybeFile = Field(
        None, description="one .npz for all images, instead of folder: names [M] and the parameters [M, ...]"
    )


class SmplParams(ParameterParams):
    """Parameters of smpl: each image has theta [72], beta [10] and, for camera: given, cam [3]."""

    model: Annotated[FileParam, AfterValidator(_npz)] = Field(description="your SMPL model as .npz of plain arrays")
    camera: CameraChoice = Field(
        "given", description="camera; given: HMR's cam (s, tx, ty); fit: the body fills the image, and no cam is needed"
    )
    up: Up = Field(
        "-y", description="axes of the posed body with global rotation; -y: HMR's and SPIN's; y: the model's own"
    )

    @model_validator(mode="after")
    def _one_source(self) -> SmplParams:
        if (self.folder is None) == (self.file is None):
            raise ValueError("give either folder or file with the parameters of the images")
        return self


class AnnyParams(ParameterParams):
    """Parameters of anny: each image may have pose [J, 3], yaw (degrees), phenotypes and, for camera: given, cam."""

    arms: float = Field(30.0, ge=-90, le=90, description="degrees by which the arms are lowered in images without pose")
    camera: CameraChoice = Field(
        "fit", description="camera; fit: the body fills the image; given: HMR's cam (s, tx, ty) of each image"
    )

    @model_validator(mode="after")
    def _at_most_one_source(self) -> AnnyParams:
        if self.folder is not None and self.file is not None:
            raise ValueError("give folder or file, or neither, to use one upright body for all images")
        if self.camera == "given" and self.folder is None and self.file is None:
            raise ValueError("camera: given needs folder or file with each image's cam")
        return self
