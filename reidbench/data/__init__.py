"""Images and labels on disk: samples, splits with and without labels, folder layouts, fingerprints, checks.

Imports files and errors. Begin with `split.py` and `dataset.py`; labels are hidden in `hidden.py`.
"""

from __future__ import annotations

from .archives import is_archive, unpack
from .check import Report, examine, judge, read_contents
from .dataset import Dataset
from .fingerprints.fingerprint import (
    fingerprint_content,
    fingerprint_file,
    fingerprint_files,
    fingerprint_folder,
    fingerprint_paths,
)
from .folders import FileNameRule, read_folder, read_market_folder
from .hidden import UNKNOWN_CAMERA, HiddenSplit, Sidecar
from .manifest import read_manifest
from .people import find_overlap, settle_people
from .pictures.images import load_pixels, read_image, resize
from .published import Counts, Published
from .split import Sample, Split
from .walk import look_through, walk_images

__all__ = [
    "UNKNOWN_CAMERA",
    "Counts",
    "Dataset",
    "FileNameRule",
    "HiddenSplit",
    "Published",
    "Report",
    "Sample",
    "Sidecar",
    "Split",
    "examine",
    "find_overlap",
    "fingerprint_content",
    "fingerprint_file",
    "fingerprint_files",
    "fingerprint_folder",
    "fingerprint_paths",
    "is_archive",
    "judge",
    "load_pixels",
    "look_through",
    "read_contents",
    "read_folder",
    "read_image",
    "read_manifest",
    "read_market_folder",
    "resize",
    "settle_people",
    "unpack",
    "walk_images",
]
