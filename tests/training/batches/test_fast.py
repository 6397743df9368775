"""The fast image pipeline against Pillow, numpy and the augmentation on whole batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.data import Sample, Split
from reidbench.data.pictures import images
from reidbench.errors import DataError
from reidbench.training import Augment, Batches, Embedder, Preprocess, embed, image_source
from reidbench.training.batches.augment import Draws
from reidbench.training.batches.feed import Feed, Plan

SIZE = (64, 32)


def test_draws_follow_the_probabilities_and_stay_inside() -> None:
    augment = Augment(flip=0.25, pad=3, erase=0.5)
    draws = augment.draw_rows(4000, SIZE, torch.Generator().manual_seed(0))
    assert abs(draws.flip.mean() - 0.25) < 0.03
    assert set(draws.top) == set(draws.left) == set(range(7))
    tall, wide = draws.box[:, 2], draws.box[:, 3]
    erased = tall > 0
    assert abs(erased.mean() - 0.5) < 0.03
    assert (draws.box[:, 0] + tall <= SIZE[0]).all()
    assert (draws.box[:, 1] + wide <= SIZE[1]).all()
    share = (tall * wide)[erased] / (SIZE[0] * SIZE[1])
    assert 0.015 < share.min() < 0.04
    assert 0.35 < share.max() < 0.42
    assert not Augment(erase=0).draw_rows(50, SIZE, torch.Generator()).box.any()


def test_a_picture_has_its_own_row_of_numbers() -> None:
    few, many = (Augment().draw_rows(count, SIZE, torch.Generator().manual_seed(7)) for count in (3, 3))
    assert (few.box == many.box).all()
    other = Augment(flip=0.9, pad=0).draw_rows(3, SIZE, torch.Generator().manual_seed(7))
    assert (other.box == few.box).all()  # what one choice does shifts no other


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from reidbench.training.batches import fast

    def missing(name: str) -> None:
        raise ImportError(name)

    fast.libraries.cache_clear()
    monkeypatch.setattr(fast.importlib, "import_module", missing)
    try:
        with pytest.raises(fast.FastUnavailable, match=r"pip install 'reidbench\[fast\]'"):
            Batches(split_of(tmp_path, (8, 8)), Preprocess(SIZE), [np.arange(2)], fast=True)
    finally:
        fast.libraries.cache_clear()


def split_of(folder: Path, size: tuple[int, int], count: int = 6, ending: str = "png") -> Split:
    random = np.random.Generator(np.random.PCG64(3))
    for number in range(count):
        coarse = random.integers(0, 256, (max(size[0] // 8, 1), max(size[1] // 8, 1), 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.{ending}", **({"quality": 85} if ending == "jpg" else {}))
    return Split(folder, [Sample(f"{number}.{ending}", 1, 0) for number in range(count)])


class TestWithTheExtra:
    """Skipped where the extra is not installed."""

    @pytest.fixture(autouse=True)
    def extra(self) -> None:
        pytest.importorskip("cv2")
        pytest.importorskip("simplejpeg")

    @pytest.mark.parametrize("size", [(32, 16), (128, 64), (64, 128), (100, 37), (64, 64), (20, 90)])
    @pytest.mark.parametrize("ending", ["jpg", "png"])
    def test_pixels_are_pillows_within_a_grey_level_where_they_grow(
        self, size: tuple[int, int], ending: str, tmp_path: Path
    ) -> None:
        target = (128, 128)
        split = split_of(tmp_path, size, ending=ending)
        pillow, quick = (image_source(split, target, fast=fast)(np.arange(6)).numpy() for fast in (False, True))
        assert np.abs(pillow.astype(int) - quick).max() <= 1

    @pytest.mark.parametrize("size", [(160, 80), (384, 160), (700, 500), (40, 160), (160, 20)])
    def test_what_shrinks_is_smoothed(self, size: tuple[int, int], tmp_path: Path) -> None:
        from reidbench.training.batches.fast import resize

        stripes = np.zeros((*size, 3), np.uint8)
        stripes[::2] = 255
        stripes[:, ::2] ^= 255
        for picture in (stripes, np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)):
            wanted = images.resize(picture, SIZE).astype(float)
            assert np.abs(resize(picture, SIZE) - wanted).mean() < 6
        shrunk_both = min(size[0] / SIZE[0], size[1] / SIZE[1]) >= 2
        if shrunk_both:  # fine stripes become grey; bilinear sampling alone would leave them black and white
            assert resize(stripes, SIZE).std() < 20

    def test_batches_are_what_normalise_makes_of_the_pixels(self, tmp_path: Path) -> None:
        split, preprocess = split_of(tmp_path, SIZE), Preprocess(SIZE)
        wanted = preprocess.normalise(image_source(split, SIZE)(np.array([4, 0, 2])))
        for limit in (0, None):  # decoded as needed, and held in memory
            got = Feed(split, preprocess, limit=limit, fast=True).make(Plan(np.array([4, 0, 2])))
            assert torch.equal(got, wanted)

    def test_augmentation_step_by_step(self, tmp_path: Path) -> None:
        augment, preprocess = Augment(pad=5, erase_value=(1.0, 2.0, 3.0)), Preprocess(SIZE)
        split = split_of(tmp_path, SIZE, count=2)
        draws = Draws(np.array([True, False]), np.array([0, 7]), np.array([10, 5]), np.array([[3, 4, 5, 6], [0] * 4]))
        got = Feed(split, preprocess, augment, fast=True).make(Plan(np.arange(2), draws)).numpy()
        plain = preprocess.normalise(image_source(split, SIZE)(np.arange(2))).numpy()
        fill = np.array(augment.pad_value, np.float32)[:, None, None]
        for row in range(2):
            picture = plain[row][:, :, ::-1] if draws.flip[row] else plain[row]
            padded = np.broadcast_to(fill, (3, SIZE[0] + 10, SIZE[1] + 10)).copy()
            padded[:, 5:-5, 5:-5] = picture
            top, left = draws.top[row], draws.left[row]
            wanted = padded[:, top : top + SIZE[0], left : left + SIZE[1]].copy()
            if row == 0:
                wanted[:, 3:8, 4:10] = np.array([1, 2, 3])[:, None, None]
            assert np.array_equal(got[row], wanted.astype(np.float32))

    def test_workers_and_memory_change_nothing(self, tmp_path: Path) -> None:
        split = split_of(tmp_path, (30, 20), count=9, ending="jpg")
        feeds = [
            Feed(split, Preprocess(SIZE), Augment(), limit=limit, workers=workers, fast=True)
            for workers in (0, 3)
            for limit in (0, None)
        ]
        results = [feed.make(feed.plan(np.arange(9), torch.Generator().manual_seed(5))) for feed in feeds]
        assert all(torch.equal(results[0], result) for result in results[1:])

    def test_batches_and_embed_take_the_fast_way_when_told(self, tmp_path: Path) -> None:
        class Mean(Embedder):
            def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
                return images.mean((2, 3))

        split, preprocess = split_of(tmp_path, (30, 20), ending="jpg"), Preprocess(SIZE)
        slow, quick = (embed(Mean(preprocess=preprocess), split, split.camids, fast=fast) for fast in (False, True))
        assert np.abs(slow - quick).max() < 0.02
        sampler = [np.array([1, 3]), np.array([0, 5])]
        for augment in (None, Augment(), lambda batch, generator: batch + 1):
            first, second = (
                list(Batches(split, preprocess, sampler, augment, torch.Generator().manual_seed(1), n, fast=True))
                for n in (0, 2)
            )
            assert [indices.tolist() for _, indices in first] == [[1, 3], [0, 5]]
            assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, second, strict=True))

    def test_damaged_and_unusual_pictures(self, tmp_path: Path) -> None:
        from reidbench.training.batches.fast import decode

        file = tmp_path / "x.jpg"
        Image.new("CMYK", (8, 8), (1, 2, 3, 4)).save(file)
        assert decode(file.read_bytes(), "x").shape == (8, 8, 3)
        Image.new("L", (8, 8), 77).save(file)
        assert (decode(file.read_bytes(), "x") == 77).all()
        Image.effect_noise((64, 64), 50).convert("RGB").save(file)
        with pytest.raises(DataError, match=r"x\.jpg: cannot be decoded"):
            decode(file.read_bytes()[:300], "x.jpg")
