"""What a matrix file may say about each data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from reidbench import AddedLater, Params, SameContent


def _unbooled(value: Any) -> Any:
    """YAML reads a bare `off` as False."""
    return "off" if value is False else value


class CheckedParams(Params):
    """A set of which counts are published."""

    check: Annotated[Literal["warn", "strict", "off"], BeforeValidator(_unbooled), SameContent()] = Field(
        "warn",
        description="a set that differs from the published counts: note it, refuse to run, or do not look",
    )


class FolderParams(Params):
    """A Market-1501-style folder."""

    strict: Annotated[bool, SameContent()] = Field(
        False, description="refuse a folder with files whose names do not match, instead of naming them"
    )


class MarketFolderParams(FolderParams):
    """Any folder in the Market-1501 layout."""

    cameras: Literal["name", "none"] = Field(
        "name", description="none: names like 0002_anything.jpg, of which nobody knows the camera"
    )

    def lacking(self, root: Path | None) -> frozenset[str]:
        """Without cameras in the names there are none."""
        return frozenset({"cameras"}) if self.cameras == "none" else frozenset()


class PersonFoldersParams(MarketFolderParams, CheckedParams):
    """Folders of train, query and gallery with a folder for each person."""

    train: Literal["train_all", "train", "train+val"] = Field("train_all", description="the folders to train on")
    published: Literal["none", "market1501"] = Field(
        "none", description="the counts that the folders should have: Market-1501's, or nobody's"
    )


class Market1501Params(FolderParams, CheckedParams):
    """The Market-1501 release."""

    distractors: bool = Field(False, description="add the 500,000 distractors in the folder images to the gallery")
    queries: Annotated[Literal["single", "multi"], AddedLater()] = Field(
        "single",
        description="multi: for each query, the hand-drawn boxes (gt_bbox) of its person and camera as one tracklet",
    )

    def offered(self) -> frozenset[str]:
        """The boxes of one query are a tracklet."""
        return frozenset({"tracklets"} if self.queries == "multi" else ())


class MsmtParams(CheckedParams):
    """MSMT17. Papers rarely say which training set they mean, so that it is named here and in the table."""

    train: Literal["train", "trainval"] = Field(
        "train", description="train: list_train.txt; trainval: list_val.txt too (32,621 images)"
    )

    def offered(self) -> frozenset[str]:
        """What is not trained on is there for `validate: {queries: validation}`."""
        return frozenset({"validation"} if self.train == "train" else ())


class PrccParams(CheckedParams):
    """PRCC."""

    train: Literal["train", "trainval"] = Field(
        "train", description="train: the folder train, as in the paper; trainval: val too (22,898 images)"
    )

    def offered(self) -> frozenset[str]:
        """Clothes; and what is not trained on, for `validate: {queries: validation}`."""
        return frozenset({"clothes", "validation"} if self.train == "train" else {"clothes"})


class LtccParams(CheckedParams):
    """LTCC."""

    persons: Literal["all", "cloth-changing"] = Field(
        "all",
        description="all: as the paper and the field train and test; cloth-changing: in train and test only those "
        "whom the lists of the release name, 46 and 45",
    )


class CuhkParams(CheckedParams):
    """CUHK03 in the 767/700 protocol."""

    boxes: Literal["detected", "labeled"] = Field("detected", description="boxes of a detector, or drawn by hand")


class CuhkClassicParams(CuhkParams):
    """CUHK03 in the classic protocol: 20 splits, each of 100 test persons."""

    split: int = Field(0, ge=0, le=19, description="which of the 20 splits")


class WithdrawnParams(CheckedParams):
    """A set that its owners withdrew."""

    accept_withdrawal: Annotated[bool, SameContent()] = Field(
        False, description="I have read that Duke withdrew these pictures in 2019, and may use my copy"
    )


class PoolParams(Params):
    """Person images without any label."""


class ManifestParams(Params):
    """A CSV manifest."""

    images: str = Field("", description="folder that the paths start from, relative to the manifest; default: its own")


class SplitParams(CheckedParams):
    """A small set with ten fixed splits, which this plugin contains."""

    split: int = Field(0, ge=0, le=9, description="which of the ten splits")


class DirectedParams(SplitParams):
    """A small set of two cameras, one for the queries and one for the gallery."""

    direction: Literal["a-to-b", "b-to-a"] = Field(
        "a-to-b", description="the camera of the queries, then the gallery's"
    )


class ViperParams(DirectedParams):
    """VIPeR."""


class Cuhk01Params(DirectedParams):
    """CUHK01."""

    train: Literal[485, 871] = Field(
        485, description="persons for training; 486 or 100 are for the test, in two protocols that do not compare"
    )


class GridParams(SplitParams):
    """GRID."""

    partition: Literal["reidbench", "official"] = Field(
        "reidbench", description="reidbench: the splits of this plugin; official: features_and_partitions.mat"
    )


class ClonedPersonParams(CheckedParams):
    """ClonedPerson."""

    camera_rule: Literal["scene", "official"] = Field(
        "scene", description="scene: a camera is a scene and a number; official: cameras of all scenes collapse"
    )
