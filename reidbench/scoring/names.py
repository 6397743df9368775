"""Names that programs use for query and gallery features, labels and distances.

Case, `_`, `-`, `.` and spaces are ignored: `queryCam`, `query_cam` and `QUERY-CAM` are one name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reidbench.files.names import shown

# This project's first, then those of torchreid (qf, q_pids), Person_reID_baseline_pytorch (query_f, query_label,
# query_cam), fast-reid (query_feat) and others.
NOUNS: Mapping[str, tuple[str, ...]] = {
    "features": (
        "features",
        "feature",
        "feats",
        "feat",
        "f",
        "fea",
        "embeddings",
        "embedding",
        "embs",
        "emb",
        "vectors",
    ),
    "pids": ("pids", "pid", "ids", "id", "labels", "label", "person_ids", "person_id", "identities", "targets"),
    "camids": (
        "camids",
        "camid",
        "cams",
        "cam",
        "cam_ids",
        "camera_ids",
        "camera_id",
        "cameras",
        "camera",
        "cam_labels",
    ),
    "clothes": ("clothes", "clothes_ids", "clothes_id", "cloth_ids", "cloth_id", "clothids", "outfits", "outfit"),
    "modality": ("modality", "modalities", "modals", "modal"),
    "tracklets": ("tracklets", "tracklet", "tracklet_ids", "tracklet_id", "track_ids", "track_id"),
}
SIDES: Mapping[str, tuple[str, ...]] = {
    "query": ("query", "q", "queries", "probe", "prob", "test_probe"),
    "gallery": ("gallery", "g", "gal", "gall", "galleries", "test_gallery"),
}
DISTANCES = ("distances", "distance", "distmat", "dist", "dist_mat", "distance_matrix", "dist_matrix", "dismat")
SIMILARITIES = (
    "similarities", "similarity", "similarity_matrix", "sim", "sims", "sim_mat", "sim_matrix", "score_mat", "scores",
)  # fmt: skip
TRAIN_PIDS = tuple(f"train_{noun}" for noun in NOUNS["pids"])
NUM_QUERY = (
    "num_query",
    "num_queries",
    "num_q",
    "query_num",
    "nquery",
)  # number of queries, the first rows of one array
PART_NAMES = ("part", "parts", "split", "splits", "set", "subset")
IMAGE_NAMES = ("names", "name", "paths", "path", "img_paths", "image_paths", "file_names", "files", "image_names")
LONGEST_KEY = 100  # longest key that is compared with known names


def plain(name: str) -> str:
    """Return a name in lower case, without separators."""
    return re.sub(r"[\W_]+", "", name).lower()


def _of_side(words: tuple[str, ...], nouns: tuple[str, ...]) -> tuple[str, ...]:
    """Return names such as query_features, and label_query as in the MATLAB scripts of MARS."""
    forward = (f"{word}_{noun}" for noun in nouns for word in words)
    return (*forward, *(f"{noun}_{word}" for noun in nouns for word in words))


def _table() -> dict[str, tuple[str, ...]]:
    sided = {f"{side}_{role}": _of_side(words, nouns) for side, words in SIDES.items() for role, nouns in NOUNS.items()}
    return {
        **sided,
        "distances": DISTANCES,
        "similarities": SIMILARITIES,
        "train_pids": TRAIN_PIDS,
        **NOUNS,
        "num_query": NUM_QUERY,
        "parts": PART_NAMES,
        "names": IMAGE_NAMES,
        **{f"{side}_names": _of_side(words, IMAGE_NAMES) for side, words in SIDES.items()},
        "query_images": ("query_images",),
        "gallery_images": ("gallery_images",),
    }


ACCEPTED = _table()  # role -> names, this project's first
_ROLES = {plain(name): role for role, names in ACCEPTED.items() for name in names}


def role_of(name: str) -> str | None:
    """Return the role of a key, or None."""
    return _ROLES.get(plain(name))


@dataclass(frozen=True)
class Keys:
    """The keys of one file; `by_role` has all keys of a role, in the order of the table."""

    names: tuple[str, ...]
    by_role: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str]) -> Keys:
        """Group the keys of a file by role."""
        names = tuple(names)
        found: dict[str, list[str]] = {}
        for name in names:
            if len(name) <= LONGEST_KEY and (role := role_of(name)):
                found.setdefault(role, []).append(name)
        order = {plain(name): place for place, name in enumerate(_ROLES)}
        return cls(
            names, {role: tuple(sorted(keys, key=lambda key: order[plain(key)])) for role, keys in found.items()}
        )

    def __contains__(self, role: str) -> bool:
        return role in self.by_role

    def first(self, role: str) -> str:
        """Return the file's key of a role, for messages; the role itself if the file has none."""
        return self.by_role[role][0] if role in self.by_role else role

    def listed(self) -> str:
        """Return the keys as text, for messages."""
        few = ", ".join(shown(name) for name in sorted(self.names)[:20])
        return (few or "nothing") + (", ..." if len(self.names) > 20 else "")

    def similar(self, role: str) -> str | None:
        """Return a key that may be a misspelling of a role, or None."""
        known = {name for keys in self.by_role.values() for name in keys}
        others = [name for name in self.names if name not in known and len(name) <= LONGEST_KEY]
        for name in ACCEPTED[role]:
            if close := difflib.get_close_matches(name, others, 1, 0.75):
                return close[0]
        return None

    def missing(self, *roles: str) -> str:
        """Return the message about missing roles: the accepted names, the file's keys, and likely misspellings."""
        wanted = ", ".join(f"{role} (or {others(role)})" for role in roles)
        close = {role: key for role in roles if (key := self.similar(role))}
        hints = "".join(f"; did you mean {shown(key)!r}? rename it to {role!r}" for role, key in close.items())
        return f"missing {wanted}; the file has: {self.listed()}{hints}"


def others(role: str) -> str:
    """Return other names of a role as text, those of the most common programs first."""
    wanted = {
        "query_features": ("qf", "query_f", "query_feat"),
        "gallery_features": ("gf", "gallery_f", "gallery_feat"),
        "query_pids": ("q_pids", "query_label"),
        "gallery_pids": ("g_pids", "gallery_label"),
        "query_camids": ("q_camids", "query_cam"),
        "gallery_camids": ("g_camids", "gallery_cam"),
    }
    names = wanted.get(role, tuple(name for name in ACCEPTED[role] if name != role)[:3])
    return ", ".join(names) + (", ..." if len(ACCEPTED[role]) > len(names) + 1 else "")
