"""Two sets of persons that the tests of SPGAN share."""

from __future__ import annotations

import pytest

from reidbench.data import Split, read_market_folder
from reidbench.testing import write_market_folder

Pair = tuple[Split, Split]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Source of 16 and target of 24 images of 16x16: 4 and 6 identities, 2 cameras, 2 images."""
    folder = tmp_path_factory.mktemp("spgan")
    found = []
    for number, (name, identities) in enumerate((("source", 4), ("target", 6))):
        root = write_market_folder(folder / name, identities=identities, size=(16, 16), seed=number)
        found.append(read_market_folder(root, name=name).train)
    return found[0], found[1]
