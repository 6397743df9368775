"""Pairs of a query image and a gallery image of the same pid that the rules of a ranking compare."""

from __future__ import annotations

from dataclasses import dataclass

from .rows import Labelled
from .rules import Rules


@dataclass(frozen=True, eq=False)
class Meeting:
    """Pairs of images that the rules allow, before galleries are drawn."""

    query: Labelled
    gallery: Labelled
    rules: Rules

    def asked(self) -> int:
        """Number of query images that take part."""
        cameras = self.rules.query_cameras
        return sum(not cameras or camera in cameras for camera in self.query.camids.tolist())

    def may(self, query: int, row: int) -> bool:
        """Whether a query image may be compared with a gallery image of the same pid, by their numbers."""
        rules = self.rules
        camera, other = int(self.query.camids[query]), int(self.gallery.camids[row])
        left_out = (
            bool(rules.query_cameras) and camera not in rules.query_cameras,
            bool(rules.gallery_cameras) and other not in rules.gallery_cameras,
            other in dict(rules.skip_cameras).get(camera, ()),
            rules.camera != "none" and camera == other >= 0,
            self._of_one_modality(query, row),
            self._excluded(query, row),
        )
        return not any(left_out)

    def _of_one_modality(self, query: int, row: int) -> bool:
        if not self.rules.cross or self.query.modality is None or self.gallery.modality is None:
            return False
        return bool(self.query.modality[query] == self.gallery.modality[row] != "")

    def _excluded(self, query: int, row: int) -> bool:
        if not self.rules.exclude or self.query.clothes is None or self.gallery.clothes is None:
            return False
        mine, theirs = self.query.clothes[query], self.gallery.clothes[row]
        known = mine >= 0 and theirs >= 0
        return bool(known and (mine == theirs) == ("same-clothes" in self.rules.exclude))
