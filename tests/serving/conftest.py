"""The command that serves rendered persons, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.services import Command, command, prepare


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The service of a row that describes persons by their colours; uploads have at most 1 MiB."""
    for module in ("fastapi", "uvicorn", "python_multipart", "faiss"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("served")
    prepare(folder)
    with command(folder, "--upload-limit", "1", "--pixel-limit", "1") as started:
        yield started
