"""Images and labels on disk: samples, splits with and without labels, folder layouts, fingerprints."""

from __future__ import annotations

from .dataset import Dataset
from .fingerprint import fingerprint_content, fingerprint_files, fingerprint_folder
from .folders import FileNameRule, read_market_folder
from .images import load_pixels, read_image, resize
from .manifest import read_manifest
from .split import HiddenSplit, Sample, Sidecar, Split

__all__ = [
    "Dataset",
    "FileNameRule",
    "HiddenSplit",
    "Sample",
    "Sidecar",
    "Split",
    "fingerprint_content",
    "fingerprint_files",
    "fingerprint_folder",
    "load_pixels",
    "read_image",
    "read_manifest",
    "read_market_folder",
    "resize",
]
