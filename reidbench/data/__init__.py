"""Data sets on disk: samples, labelled and hidden splits, folder layouts, fingerprints and checks.

Imports files and errors. Begin with `split.py` and `dataset.py`; `hidden.py` hides labels.
"""

from __future__ import annotations

from .check import Report as Report
from .check import examine as examine
from .check import judge as judge
from .check import read_contents as read_contents
from .dataset import Dataset as Dataset
from .fingerprints.fingerprint import fingerprint_content as fingerprint_content
from .fingerprints.fingerprint import fingerprint_file as fingerprint_file
from .fingerprints.fingerprint import fingerprint_files as fingerprint_files
from .fingerprints.fingerprint import fingerprint_folder as fingerprint_folder
from .fingerprints.fingerprint import fingerprint_paths as fingerprint_paths
from .hidden import UNKNOWN_CAMERA as UNKNOWN_CAMERA
from .hidden import HiddenSplit as HiddenSplit
from .hidden import Sidecar as Sidecar
from .layouts.archives import is_archive as is_archive
from .layouts.archives import unpack as unpack
from .layouts.folders import FileNameRule as FileNameRule
from .layouts.folders import need_folder as need_folder
from .layouts.folders import read_folder as read_folder
from .layouts.folders import read_market_folder as read_market_folder
from .layouts.manifest import read_manifest as read_manifest
from .morelabels import MORE_LABELS as MORE_LABELS
from .morelabels import MoreLabels as MoreLabels
from .parts.holdout import hold_out as hold_out
from .people import find_overlap as find_overlap
from .people import settle_people as settle_people
from .pictures.images import load_pixels as load_pixels
from .pictures.images import read_image as read_image
from .pictures.images import resize as resize
from .published import Counts as Counts
from .published import Published as Published
from .split import Sample as Sample
from .split import Split as Split
from .standin import is_stand_in as is_stand_in
from .standin import make_stand_in as make_stand_in
from .walk import look_through as look_through
from .walk import walk_images as walk_images
