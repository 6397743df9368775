"""The size that pictures come to, and how they come to it: what a matrix file says once for all that reads pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

Filter = Literal["bilinear", "bicubic"]
CropFrom = Literal["resized", "original"]
# What a matrix file may say beside `image_size`, and the values; the first is the default.
RESIZE: tuple[str, ...] = get_args(Filter)
CROP_FROM: tuple[str, ...] = get_args(CropFrom)


class ImageSize(tuple[int, int]):
    """(height, width), equal to the plain pair, with how pictures come to it.

    `resize` is the filter of training pictures and `resize_test` that of pictures that are embedded; both smooth where
    a picture shrinks. `crop_from` says whether random resized crops are cut from the pictures as they are stored
    (`original`), or from pictures that already have this size.
    """

    resize: Filter
    resize_test: Filter
    crop_from: CropFrom

    def __new__(
        cls,
        size: Iterable[int],
        resize: Filter = "bilinear",
        resize_test: Filter | None = None,
        crop_from: CropFrom = "resized",
    ) -> ImageSize:
        """Without `resize_test` the filter is `resize` everywhere."""
        made = super().__new__(cls, size)
        made.resize, made.resize_test, made.crop_from = resize, resize_test or resize, crop_from
        return made

    @classmethod
    def given(cls, size: Iterable[int]) -> ImageSize:
        """A size as it is; a plain pair with the defaults."""
        return size if isinstance(size, ImageSize) else cls(size)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageSize, (tuple(self), self.resize, self.resize_test, self.crop_from)

    @property
    def said(self) -> dict[str, str]:
        """What differs from the default, in the words of a matrix file."""
        words = {"resize": self.resize} if self.resize != RESIZE[0] else {}
        words |= {"resize_test": self.resize_test} if self.resize_test != self.resize else {}
        return words | ({"crop_from": self.crop_from} if self.crop_from != CROP_FROM[0] else {})
