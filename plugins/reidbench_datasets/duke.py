"""DukeMTMC-reID (Zheng et al., ICCV 2017) and Occluded-Duke (Miao et al., ICCV 2019), from existing local copies.

Duke University withdrew the recordings in 2019, because the people in them had not consented. Nothing here downloads
them, no benchmark uses them by default, and users of a copy must accept the withdrawal explicitly.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from reidbench.data import Dataset, FileNameRule, read_market_folder
from reidbench.data.layouts.folders import MARKET_FOLDERS
from reidbench.errors import DataError

from .common import fingerprint_parts, finish, place
from .params import WithdrawnParams

RULE = FileNameRule(r"(?P<pid>[0-9]{4})_c(?P<cam>[1-8])_f[0-9]{7}")
NOTICE = (
    "its owner, Duke University, withdrew these images in 2019 for the privacy of the people in them; "
    "reidbench neither distributes nor recommends them"
)


def _open(name: str, params: WithdrawnParams, root: Path, cache: Path) -> Dataset:
    """Read the data set. Raises DataError unless the withdrawal is accepted."""
    _check_accepted(name, params)
    dataset = read_market_folder(place(root, cache), name=name, rule=RULE).with_notes(f"{name}: {NOTICE}")
    return finish(dataset, params, name)


def _check_accepted(name: str, params: WithdrawnParams) -> None:
    if not params.accept_withdrawal:
        raise DataError(f"{name}: {NOTICE}. To use a local copy, set accept_withdrawal: true")


def _fingerprint(name: str, params: WithdrawnParams, root: Path) -> str:
    """Return names and contents of the three folders. Raises DataError unless the withdrawal is accepted."""
    _check_accepted(name, params)
    return fingerprint_parts(params, root, *MARKET_FOLDERS.values())


open_duke = partial(_open, "dukemtmc-reid")
open_occluded = partial(_open, "occluded-duke")  # made of the same images
fingerprint_duke = partial(_fingerprint, "dukemtmc-reid")
fingerprint_occluded = partial(_fingerprint, "occluded-duke")
