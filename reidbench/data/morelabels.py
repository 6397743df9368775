"""Labels beyond identity and camera, as columns of a split: clothes, modality, tracklet and attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UNKNOWN = -1  # unknown clothes; the tracklet of an image without one
MORE_LABELS = ("clothes", "modality", "tracklets", "attributes")  # also words: see reidbench.words


@dataclass(frozen=True, eq=False)
class MoreLabels:
    """Additional label columns [N] of a split; None if a set does not have them.

    `clothes` [N] int64 number the outfits within a person; equal numbers of two persons mean nothing; -1 is unknown.
    `modality` is a word for each image, such as "visible" or "infrared"; "" is unknown. `tracklets` [N] int64 number
    the image sequences; images of one tracklet have one pid and one camera; -1 means none. `attributes` are strings
    by name; "" is unknown.
    """

    clothes: np.ndarray | None = None
    modality: tuple[str, ...] | None = None
    tracklets: np.ndarray | None = None
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        clothes: Sequence[int] | np.ndarray | None = None,
        modality: Sequence[str] | None = None,
        tracklets: Sequence[int] | np.ndarray | None = None,
        attributes: Mapping[str, Sequence[str]] | None = None,
    ) -> MoreLabels:
        """Build from lists; a column of unknown values only is dropped."""
        numbers = [None if one is None else np.asarray(one, dtype=np.int64) for one in (clothes, tracklets)]
        numbered = [one if one is not None and (one != UNKNOWN).any() else None for one in numbers]
        words = tuple(map(str, modality or ()))
        texts = {str(name): tuple(map(str, column)) for name, column in sorted((attributes or {}).items())}
        known = {name: column for name, column in texts.items() if any(column)}
        return cls(numbered[0], words if any(words) else None, numbered[1], known)

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[int, str, int, Mapping[str, str] | None]]) -> MoreLabels:
        """Build from (clothes, modality, tracklet, attributes) of each image."""
        listed = list(rows)
        if not listed:
            return cls()
        clothes, modality, tracklets, attributes = zip(*listed, strict=True)
        names = dict.fromkeys(name for one in attributes for name in one or ())
        columns = {name: [(one or {}).get(name, "") for one in attributes] for name in names}
        return cls.of(clothes, modality, tracklets, columns)

    @property
    def known(self) -> frozenset[str]:
        """The available labels, from MORE_LABELS."""
        return frozenset(name for name in MORE_LABELS if (column := getattr(self, name)) is not None and len(column))

    def fits(self, count: int) -> bool:
        """Whether each column has `count` entries."""
        columns = [self.clothes, self.modality, self.tracklets, *self.attributes.values()]
        return all(column is None or np.shape(column) == (count,) for column in columns)

    def only(self, words: AbstractSet[str]) -> MoreLabels:
        """Keep only the labels whose word is among `words`."""
        return MoreLabels(
            self.clothes if "clothes" in words else None,
            self.modality if "modality" in words else None,
            self.tracklets if "tracklets" in words else None,
            self.attributes if "attributes" in words else {},
        )

    def take(self, indices: Sequence[int]) -> MoreLabels:
        """The labels of the images at `indices`, in that order."""
        return MoreLabels(
            None if self.clothes is None else self.clothes[indices],
            None if self.modality is None else tuple(self.modality[index] for index in indices),
            None if self.tracklets is None else self.tracklets[indices],
            {name: tuple(column[index] for index in indices) for name, column in self.attributes.items()},
        )

    @classmethod
    def merge(cls, sets: Sequence[tuple[int, MoreLabels]]) -> MoreLabels:
        """Merge the labels of several sets, given with their sizes; tracklets of different sets stay different."""
        tracklets, first = [], 0
        for count, labels in sets:
            own = _numbers(labels.tracklets, count)
            tracklets.append(np.where(own == UNKNOWN, UNKNOWN, own + first))
            first += int(own.max(initial=UNKNOWN)) + 1
        names = sorted({name for _, labels in sets for name in labels.attributes})
        return cls.of(
            np.concatenate([_numbers(labels.clothes, count) for count, labels in sets]),
            [word for count, labels in sets for word in labels.modality or ("",) * count],
            np.concatenate(tracklets),
            {name: [text for n, one in sets for text in one.attributes.get(name, ("",) * n)] for name in names},
        )

    def rows(self, count: int) -> list[tuple[int, str, int, dict[str, str] | None]]:
        """(clothes, modality, tracklet, attributes) of each of `count` images; only known attributes, or None."""
        named = [
            {name: column[row] for name, column in self.attributes.items() if column[row]} or None
            for row in range(count)
        ]
        return list(
            zip(
                _numbers(self.clothes, count).tolist(),
                self.modality or ("",) * count,
                _numbers(self.tracklets, count).tolist(),
                named,
                strict=True,
            )
        )

    def columns(self) -> dict[str, Any]:
        """JSON values of the available columns, by name, as `of` takes them."""
        found: dict[str, Any] = {} if self.clothes is None else {"clothes": self.clothes.tolist()}
        found |= {} if self.modality is None else {"modality": self.modality}
        found |= {} if self.tracklets is None else {"tracklets": self.tracklets.tolist()}
        return found | ({"attributes": self.attributes} if self.attributes else {})


def _numbers(column: np.ndarray | None, count: int) -> np.ndarray:
    return np.full(count, UNKNOWN) if column is None else column


NO_LABELS = MoreLabels()
