"""The size that pictures come to, and how they come to it: what a matrix file says once for all that reads pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

Filter = Literal["bilinear", "bicubic"]
CropFrom = Literal["resized", "original"]
# What a matrix file may say beside `image_size`, and the values; the first is the default.
RESIZE: tuple[str, ...] = get_args(Filter)
CROP_FROM: tuple[str, ...] = get_args(CropFrom)
WORDS = {"resize": RESIZE, "resize_test": RESIZE, "crop_from": CROP_FROM}
SIDES = (8, 4096)  # pixels, the least and the most


def setting_fault(name: str, value: Any) -> str:
    """What `image_size`, or one of the words beside it, must be; nothing where the value is that."""
    if name in WORDS:
        fits = isinstance(value, str) and value in WORDS[name]
        return "" if fits else f"must be one of {', '.join(WORDS[name])}"
    least, most = SIDES
    fits = isinstance(value, list | tuple) and len(value) == 2 and all(type(n) is int for n in value)
    if fits and all(least <= n <= most for n in value):
        return ""
    return f"must be [height, width] in pixels from {least} to {most}"


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

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ImageSize:
        """The size of settings as a matrix file has them: `image_size`, and what is said of the words beside it."""
        return cls(settings["image_size"], **{name: settings[name] for name in WORDS if name in settings})

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageSize, (tuple(self), self.resize, self.resize_test, self.crop_from)

    @property
    def said(self) -> dict[str, str]:
        """What differs from the default, in the words of a matrix file."""
        words = {"resize": self.resize} if self.resize != RESIZE[0] else {}
        words |= {"resize_test": self.resize_test} if self.resize_test != self.resize else {}
        return words | ({"crop_from": self.crop_from} if self.crop_from != CROP_FROM[0] else {})
