"""Parameters of the data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reidbench import AddedLater, Params, SameContent


def _unbooled(value: Any) -> Any:
    """Return "off" for False, since YAML reads a bare `off` as False."""
    return "off" if value is False else value


class CheckedParams(Params):
    """Parameters of a data set with published counts."""

    check: Annotated[Literal["warn", "strict", "off"], BeforeValidator(_unbooled), SameContent()] = Field(
        "warn",
        description="handling of differences from the published counts: note them, refuse to run, or skip the check",
    )


class FolderParams(Params):
    """Parameters of a Market-1501-style folder."""

    strict: Annotated[bool, SameContent()] = Field(
        False, description="refuse files whose names do not match; false: exclude and note them"
    )


class MarketFolderParams(FolderParams):
    """Parameters of any folder in the Market-1501 layout."""

    cameras: Literal["name", "none"] = Field(
        "name", description="none: names such as 0002_anything.jpg, whose camera is unknown"
    )

    def lacking(self, root: Path | None) -> frozenset[str]:
        """Return "cameras" if the names have none."""
        return frozenset({"cameras"}) if self.cameras == "none" else frozenset()


class PersonFoldersParams(MarketFolderParams, CheckedParams):
    """Parameters of train, query and gallery with a folder for each person."""

    train: Literal["train_all", "train", "train+val"] = Field("train_all", description="folders to train on")
    published: Literal["none", "market1501"] = Field(
        "none", description="published counts to compare with: Market-1501's, or none"
    )


class IdentityFoldersParams(Params):
    """Parameters of folders, one for each identity, and of the rule that splits them."""

    split: Literal["open", "closed"] = Field(
        "open",
        description="open: identities of the test are not trained on; closed: each identity is trained on, and tested "
        "on other images",
    )
    train: int = Field(
        50,
        ge=1,
        le=99,
        description="percentage to train on: of the identities (open), or of the images of each (closed)",
    )
    draw: int = Field(0, ge=0, description="number of the split; others have other identities or images")
    cameras: Literal["none", "folder"] = Field(
        "none",
        description="folder: the folder in that of the identity is a camera or an occasion; matches within one never "
        "count",
    )

    def lacking(self, root: Path | None) -> frozenset[str]:
        """Return "cameras" if the folders have none."""
        return frozenset({"cameras"}) if self.cameras == "none" else frozenset()


class Market1501Params(FolderParams, CheckedParams):
    """Parameters of the Market-1501 release."""

    distractors: bool = Field(False, description="add the 500,000 distractors in the folder images to the gallery")
    queries: Annotated[Literal["single", "multi"], AddedLater()] = Field(
        "single",
        description="multi: for each query, the hand-drawn boxes (gt_bbox) of its person and camera as one tracklet",
    )

    def offered(self) -> frozenset[str]:
        """Return "tracklets" for multi-queries: the boxes of a query form a tracklet."""
        return frozenset({"tracklets"} if self.queries == "multi" else ())


class MsmtParams(CheckedParams):
    """Parameters of MSMT17. Papers rarely name their training set, so it is explicit here and in the table."""

    train: Literal["train", "trainval"] = Field(
        "train", description="train: list_train.txt; trainval: list_val.txt too (32,621 images)"
    )

    def offered(self) -> frozenset[str]:
        """Return the images not used for training, for `validate: {queries: validation}`."""
        return frozenset({"validation"} if self.train == "train" else ())


class PrccParams(CheckedParams):
    """Parameters of PRCC."""

    train: Literal["train", "trainval"] = Field(
        "train", description="train: the folder train, as in the paper; trainval: val too (22,898 images)"
    )

    def offered(self) -> frozenset[str]:
        """Return clothes, and the images not used for training, for `validate: {queries: validation}`."""
        return frozenset({"clothes", "validation"} if self.train == "train" else {"clothes"})


class LtccParams(CheckedParams):
    """Parameters of LTCC."""

    persons: Literal["all", "cloth-changing"] = Field(
        "all",
        description="all: train and test as in the paper; cloth-changing: train and test only on the persons "
        "in the release's lists, 46 and 45",
    )


class CuhkParams(CheckedParams):
    """Parameters of CUHK03 in the 767/700 protocol."""

    boxes: Literal["detected", "labeled"] = Field("detected", description="boxes from a detector, or drawn by hand")


class CuhkClassicParams(CuhkParams):
    """Parameters of CUHK03 in the classic protocol: 20 splits, each with 100 test persons."""

    split: int = Field(0, ge=0, le=19, description="number of the split, 0 to 19")


class WithdrawnParams(CheckedParams):
    """Parameters of a data set that its owners withdrew."""

    accept_withdrawal: Annotated[bool, SameContent()] = Field(
        False, description="confirms that Duke withdrew these images in 2019 and that the user may use a local copy"
    )


class PoolParams(Params):
    """Parameters of images of persons without labels."""


class ManifestParams(Params):
    """Parameters of a CSV manifest."""

    images: str = Field("", description="base folder of the paths, relative to the manifest; default: its folder")


class SplitParams(CheckedParams):
    """Parameters of a small data set with ten fixed splits, which are part of this plugin."""

    split: int = Field(0, ge=0, le=9, description="number of the split, 0 to 9")


class DirectedParams(SplitParams):
    """Parameters of a small data set with two cameras, one for the queries and one for the gallery."""

    direction: Literal["a-to-b", "b-to-a"] = Field(
        "a-to-b", description="camera of the queries, then camera of the gallery"
    )


class ViperParams(DirectedParams):
    """Parameters of VIPeR."""


class Cuhk01Params(DirectedParams):
    """Parameters of CUHK01."""

    train: Literal[485, 871] = Field(
        485, description="number of training persons; the test has 486 or 100, in two protocols that are not comparable"
    )


class GridParams(SplitParams):
    """Parameters of GRID."""

    partition: Literal["reidbench", "official"] = Field(
        "reidbench", description="reidbench: the splits of this plugin; official: features_and_partitions.mat"
    )


class ClonedPersonParams(CheckedParams):
    """Parameters of ClonedPerson."""

    camera_rule: Literal["scene", "official"] = Field(
        "scene", description="scene: a camera is a scene and a number; official: merges the cameras of all scenes"
    )
