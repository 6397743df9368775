"""Features of pictures: in batches, without those that cannot be read, and by several networks as an ensemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.data import Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.export import features
from reidbench.export.features import Networks
from reidbench.export.networks import Member
from reidbench.scoring.featurefile import read_features
from reidbench.store.artifact import Artifact
from reidbench.training import Embedder, Preprocess


class Means(Embedder):
    """The mean colour of a picture, times a factor; `seen` has the size of each batch."""

    def __init__(self, factor: float = 1.0, seen: list[int] | None = None) -> None:
        super().__init__(preprocess=Preprocess((8, 4), (0, 0, 0), (1, 1, 1)), factor=factor)
        self.factor, self.seen = factor, [] if seen is None else seen

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        self.seen.append(len(images))
        return self.factor * images.mean((2, 3))


def networks(*embedders: Embedder, flip: bool = False, workers: int = 0) -> Networks:
    members = [Member(Artifact(f"key{number}", Path(), {})) for number in range(len(embedders))]
    return Networks(members, flip, workers, list(embedders))


def paint(folder: Path, *colours: tuple[int, int, int]) -> list[str]:
    """A picture of one colour each, as PNG."""
    names = []
    for number, colour in enumerate(colours):
        names.append(str(folder / f"{number}.png"))
        Image.new("RGB", (4, 8), colour).save(names[-1])
    return names


class Endless(Split):
    """As many pictures as are asked for; `asked` counts those that were decoded."""

    asked = 0

    def image(self, index: int) -> np.ndarray:
        self.asked += 1
        return np.full((8, 4, 3), index % 256, np.uint8)


def test_pictures_come_in_batches_and_not_all_at_once() -> None:
    split = Endless.of_columns(Path(), [f"{n}.png" for n in range(1000)], np.full(1000, -1), np.full(1000, -1))
    assert isinstance(split, Endless)
    ahead: list[int] = []

    class Watching(Means):
        def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
            ahead.append(split.asked - sum(self.seen))
            return super().forward(images, camids)

    watching = Watching()
    found = networks(watching).features(split)
    np.testing.assert_allclose(found[:, 0], np.arange(1000) % 256 / 255, atol=1e-6)
    assert max(watching.seen) <= 128
    assert ahead == watching.seen  # a batch is decoded when its turn comes


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_what_cannot_be_read_is_left_out_and_named_and_changes_no_other(tmp_path: Path, workers: int) -> None:
    names = paint(tmp_path, (255, 0, 0), (0, 255, 0), (0, 0, 255))
    (tmp_path / "1.png").write_text("none")
    found = networks(Means(), workers=workers).readable(features.split_of([*names, str(tmp_path / "gone.png")]))
    assert found.names == [names[0], names[2]]
    np.testing.assert_allclose(found.features, [[1, 0, 0], [0, 0, 1]], atol=1e-6)
    (note,) = found.notes
    assert note.startswith(
        f"2 of 4 images cannot be read and are skipped: {names[1]}: cannot be decoded: its 4 bytes are"
    )
    assert note.endswith(f"; {tmp_path / 'gone.png'}: no such image")


def test_where_none_can_be_read_nothing_is_given(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^none of 1 images can be read: .*gone\.png: no such image$"):
        networks(Means()).readable(features.split_of([str(tmp_path / "gone.png")]))


def test_features_of_an_ensemble_are_unit_vectors_side_by_side(tmp_path: Path) -> None:
    """Written out: (3, 4, 0) / 5, then the same direction for any factor of the second network."""
    split = features.split_of(paint(tmp_path, (153, 204, 0)))  # (0.6, 0.8, 0)
    found = networks(Means(2), Means(-7)).features(split)
    np.testing.assert_allclose(found, [[0.6, 0.8, 0, -0.6, -0.8, 0]], atol=1e-6)
    np.testing.assert_allclose(networks(Means(2)).features(split), [[1.2, 1.6, 0]], atol=1e-6)


def test_an_ensemble_refuses_a_zero_vector(tmp_path: Path) -> None:
    split = features.split_of(paint(tmp_path, (1, 2, 3), (0, 0, 0)))
    with pytest.raises(DataError, match=r"^member 1 of the ensemble: query_features row 1 is a zero vector"):
        networks(Means(), Means()).features(split, "query_features")


def test_features_that_are_no_numbers_name_their_picture(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^the network gives non-finite features, first for .*0\.png$"):
        networks(Means(float("nan"))).features(features.split_of(paint(tmp_path, (9, 9, 9))))


def test_files_say_by_which_networks_and_whether_with_mirror_images(tmp_path: Path) -> None:
    names = paint(tmp_path, (9, 9, 9))
    for made, identity in (
        (networks(Means(), Means()), "key0 key1"),
        (networks(Means(), flip=True), "key0+flip"),
    ):
        features.embed_pictures(made, [Path(names[0])], tmp_path / "x.npz")
        with np.load(tmp_path / "x.npz") as found:
            assert str(found["network"]) == identity
            assert found["names"].tolist() == names


def test_a_manifest_stands_alone(tmp_path: Path) -> None:
    assert features.manifest_among([tmp_path / "m.CSV"]) == tmp_path / "m.CSV"
    assert features.manifest_among([tmp_path / "m.png", tmp_path]) is None
    with pytest.raises(ReidbenchError, match=r"m\.csv: a manifest must be the only input, but 2 are given"):
        features.manifest_among([tmp_path, tmp_path / "m.csv"])


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("a.png,1,train\n", r"no rows with split=query and split=gallery; to embed images without labels, name "),
        ("a.png,1,query\nb.png,1,gallery\nc.png,1,gallery\n", r"3 of its images are missing: a\.png, b\.png, c\.png"),
    ],
)
def test_manifests_that_cannot_be_embedded(tmp_path: Path, rows: str, sentence: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,pid,split\n{rows}")
    with pytest.raises(DataError, match=rf"m\.csv: {sentence}"):
        features.labelled_parts(tmp_path / "m.csv")


@pytest.mark.parametrize("ending", [".npz", ".mat"])
def test_clothes_modality_and_tracklets_of_a_manifest_are_scored_by(ending: str, tmp_path: Path) -> None:
    paint(tmp_path, (255, 0, 0), (0, 255, 0), (250, 9, 0))
    (tmp_path / "m.csv").write_text(
        "path,pid,split,camid,clothes,modality,tracklet\n"
        "0.png,1,query,0,3,visible,\n1.png,2,gallery,1,,,7\n2.png,1,gallery,1,4,infrared,8\n"
    )
    parts, notes = features.labelled_parts(tmp_path / "m.csv")
    assert len(notes) == 3  # what some images lack
    features.embed_parts(networks(Means()), parts, tmp_path / f"f{ending}")
    needs = {"clothes": "a", "modality": "b", "tracklets": "c"}
    found = read_features(tmp_path / f"f{ending}", needs=needs)
    assert {word: column.tolist() for word, column in found.query_more.items()} == {
        "clothes": [3], "modality": ["visible"], "tracklets": [-1]
    }  # fmt: skip
    assert {word: column.tolist() for word, column in found.gallery_more.items()} == {
        "clothes": [-1, 4], "modality": ["", "infrared"], "tracklets": [7, 8]
    }  # fmt: skip
