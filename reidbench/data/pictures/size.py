"""Image size and resizing, set once in a matrix file for every component that reads images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, get_args

Filter = Literal["bilinear", "bicubic"]
CropFrom = Literal["resized", "original"]
# Settings of a matrix file besides `image_size`, and their values; the first is the default.
RESIZE: tuple[str, ...] = get_args(Filter)
CROP_FROM: tuple[str, ...] = get_args(CropFrom)
WORDS = {"resize": RESIZE, "resize_test": RESIZE, "crop_from": CROP_FROM}
SIDES = (8, 4096)  # pixels, minimum and maximum


def setting_fault(name: str, value: Any) -> str:
    """Error in `image_size` or one of the related settings; empty if the value is valid."""
    if name in WORDS:
        fits = isinstance(value, str) and value in WORDS[name]
        return "" if fits else f"must be one of {', '.join(WORDS[name])}"
    least, most = SIDES
    fits = isinstance(value, list | tuple) and len(value) == 2 and all(type(n) is int for n in value)
    if fits and all(least <= n <= most for n in value):
        return ""
    return f"must be [height, width] in pixels from {least} to {most}"


class ImageSize(tuple[int, int]):
    """(height, width), equal to the plain pair, with resizing settings.

    `resize` is the filter for training images and `resize_test` the filter for embedded images; both antialias when an
    image shrinks. `crop_from` selects whether random resized crops are cut from the stored images (`original`) or from
    images already resized to this size.
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
        """Without `resize_test`, the filter is `resize` everywhere."""
        made = super().__new__(cls, size)
        made.resize, made.resize_test, made.crop_from = resize, resize_test or resize, crop_from
        return made

    @classmethod
    def given(cls, size: Iterable[int]) -> ImageSize:
        """Return an ImageSize unchanged; a plain pair gets the defaults."""
        return size if isinstance(size, ImageSize) else cls(size)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ImageSize:
        """Build from a matrix file's settings: `image_size` and the related settings."""
        return cls(settings["image_size"], **{name: settings[name] for name in WORDS if name in settings})

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageSize, (tuple(self), self.resize, self.resize_test, self.crop_from)

    @property
    def words(self) -> str:
        """The size and the settings that differ from the default, for messages: `64x32, resize bicubic`."""
        return ", ".join([f"{self[0]}x{self[1]}", *(f"{name} {value}" for name, value in self.said.items())])

    @cached_property
    def said(self) -> dict[str, str]:
        """Settings that differ from the default, as in a matrix file."""
        words = {"resize": self.resize} if self.resize != RESIZE[0] else {}
        words |= {"resize_test": self.resize_test} if self.resize_test != self.resize else {}
        return words | ({"crop_from": self.crop_from} if self.crop_from != CROP_FROM[0] else {})
