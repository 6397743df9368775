"""On which labels the weights of a file were trained: words for the protocol column, which only their user can know."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator

UNKNOWN = "unknown pre-training"  # what a row says that starts from a file of which nothing was declared
IMAGENET = "ImageNet labels"
DATA_SET_LABELS = re.compile(r"(?!(?:no|source|target|unknown) )[A-Za-z0-9][\w .+/&()-]{0,60} labels")
DESCRIPTION = (
    "labels that the file was trained on, for the protocol column: none, or as in 'ImageNet labels' (a list for "
    "several); default: the row says 'unknown pre-training'"
)


@dataclass(frozen=True)
class Declared:
    """Marks a parameter that only declares something: no result depends on it, and it is not part of the key."""


def is_supervision(word: str) -> bool:
    """Whether a protocol word is one for the labels behind pre-trained weights: "DATA SET labels", or unknown ones."""
    return word == UNKNOWN or DATA_SET_LABELS.fullmatch(word) is not None


def _words(given: Any) -> Any:
    """`none` as an empty tuple, one word as a tuple of one."""
    if given is None:
        return None
    words = given if isinstance(given, list | tuple) else [given]
    if words == ["none"]:
        return ()
    if not all(isinstance(word, str) and DATA_SET_LABELS.fullmatch(word) for word in words):
        raise ValueError("must be none, or name a data set, as in 'ImageNet labels', or be a list of such")
    return tuple(dict.fromkeys(words))


Labels = Annotated[tuple[str, ...] | None, BeforeValidator(_words), Declared()]


def behind(file: object, labels: Iterable[str] | None) -> frozenset[str]:
    """Protocol words of a component that starts from `file`, or from no file (None), with its parameter `labels`."""
    if file is None:
        return frozenset()
    return frozenset({UNKNOWN} if labels is None else labels)


def require_file(file: object, labels: object, name: str) -> None:
    """Raise ValueError for labels that are declared of no file; `name` is the file's parameter."""
    if labels is not None and file is None:
        raise ValueError(f"labels declares what {name} was trained on, and no {name} is given")
