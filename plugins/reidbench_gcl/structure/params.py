"""Parameters of the structure providers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from reidbench import FileParam, Params
from reidbench.components import ContentHashed

from .angles import ANGLES

# Not `FolderParam | None`: a mark inside a union is not the field's, and the content would not enter the key.
MaybeFolder = Annotated[Path | None, ContentHashed(folder=True)]
MaybeFile = Annotated[Path | None, ContentHashed(folder=False)]
ReleasedFolder = Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_gcl.stand_ins:released_renders")]
MeshFolder = Annotated[Path, ContentHashed(folder=True, stand_in="reidbench_gcl.stand_ins:meshes")]
CameraChoice = Literal["fit", "given"]
Up = Literal["y", "-y", "z"]


def _view_angles(angles: tuple[int, ...]) -> tuple[int, ...]:
    if not angles or any(not 0 < angle < 360 for angle in angles) or len(set(angles)) < len(angles):
        raise ValueError("angles are different whole degrees from 1 to 359; the view as seen is always there")
    return angles


def _npz(file: Path) -> Path:
    # A pickle runs whatever code its author put into it, so none is ever opened.
    if file.suffix != ".npz":
        raise ValueError(
            f"{file.name} is no .npz, and pickles are never loaded: convert it once, where you trust it, with "
            "numpy.savez(out, v_template=..., shapedirs=..., posedirs=..., J_regressor=..., weights=..., "
            "kintree_table=..., f=...), all as plain arrays"
        )
    return file


class StructureParams(Params):
    """What all structure providers share."""

    angles: Annotated[tuple[int, ...], AfterValidator(_view_angles)] = Field(
        ANGLES, description="degrees by which the body is turned about the vertical axis, beside the view as seen"
    )
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="fraction of the images that may be without structure; they are left out"
    )
    sheet: int = Field(8, ge=1, description="persons on contact-sheet.png, one a row")


class SyntheticStructureParams(StructureParams):
    """synthetic-structure."""


class ReleaseParams(StructureParams):
    """gcl-release."""

    folder: ReleasedFolder = Field(description="the released folder of one data set, which holds train/render, ...")
    part: Literal["train", "test"] = Field("train", description="folder of the images' part inside it")
    layout: Literal["flat", "identity-folders"] = Field(
        "flat",
        description="files of Market and Duke (flat), or of MSMT17: in folders named by the file's first four letters",
    )


class BodyParams(StructureParams):
    """What providers that render bodies share."""

    fill: float = Field(0.94, gt=0, le=1, description="camera: fit: share of the height (or width) that the body fills")


class MeshParams(BodyParams):
    """mesh."""

    folder: MeshFolder = Field(description="one .npz (v, f), .obj, .ply or .glb per image, named by the image's stem")
    camera: CameraChoice = Field(
        "fit", description="fit: the body fills the picture; given: each .npz has HMR's cam (s, tx, ty)"
    )
    up: Up = Field(
        "y",
        description="axes of the vertices: y up and z to the viewer; -y: y down and z away, as in HMR's camera frame; "
        "z: z up and -y to the viewer",
    )


class ParameterParams(BodyParams):
    """What providers share that pose a body model by parameters of each image."""

    folder: MaybeFolder = Field(None, description="one .npz of parameters per image, named by the image's stem")
    file: MaybeFile = Field(None, description="or one .npz of all: names [M] and the parameters [M, ...]")


class SmplParams(ParameterParams):
    """smpl: each image has theta [72], beta [10] and, for camera: given, cam [3]."""

    model: Annotated[FileParam, AfterValidator(_npz)] = Field(description="your SMPL model as .npz of plain arrays")
    camera: CameraChoice = Field(
        "given", description="given: HMR's cam (s, tx, ty); fit: the body fills the picture and no cam is needed"
    )
    up: Up = Field(
        "-y", description="axes of the posed body, global rotation applied: -y is HMR's and SPIN's, y the model's own"
    )

    @model_validator(mode="after")
    def _one_source(self) -> SmplParams:
        if (self.folder is None) == (self.file is None):
            raise ValueError("give either folder or file, where the parameters of the images are")
        return self


class AnnyParams(ParameterParams):
    """anny: each image may have pose [J, 3], yaw (degrees), phenotypes by name and, for camera: given, cam [3]."""

    arms: float = Field(30.0, ge=-90, le=90, description="degrees by which the arms hang lower, where there is no pose")
    camera: CameraChoice = Field(
        "fit", description="fit: the body fills the picture; given: HMR's cam (s, tx, ty) of each image"
    )

    @model_validator(mode="after")
    def _at_most_one_source(self) -> AnnyParams:
        if self.folder is not None and self.file is not None:
            raise ValueError("give folder or file, or neither for one standing body for all images")
        if self.camera == "given" and self.folder is None and self.file is None:
            raise ValueError("camera: given needs folder or file, where each image's cam is")
        return self
