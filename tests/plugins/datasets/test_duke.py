"""DukeMTMC-reID, which its authors withdrew."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.errors import DataError
from tests.support.copies import Open, rows, touch


@pytest.mark.parametrize("name", ["dukemtmc-reid", "occluded-duke"])
def test_duke_needs_a_word(name: str, read: Open, tmp_path: Path) -> None:
    touch(tmp_path, ["bounding_box_train/0001_c2_f0046182.jpg", "bounding_box_train/0001_c9_f0046182.jpg"])
    touch(tmp_path, ["query/0005_c8_f0046985.jpg", "bounding_box_test/0005_c1_f0046985.jpg"])
    with pytest.raises(DataError, match=r"withdrew these images in 2019 .* accept_withdrawal: true"):
        read(name, tmp_path)
    dataset = read(name, tmp_path, accept_withdrawal=True, check="off")
    assert rows(dataset.train) == [(1, 1)]
    assert rows(dataset.query) == [(5, 7)]
    assert any("withdrew" in note for note in dataset.notes)
    assert dataset.strays == {"train": ["bounding_box_train/0001_c9_f0046182.jpg"]}
