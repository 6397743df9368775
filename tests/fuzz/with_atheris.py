"""The same readers under libFuzzer: `python -m tests.fuzz.with_atheris matrix|score|weights [FUZZER OPTIONS] FOLDER`.

Needs `pip install 'reidbench[fuzz]'`. The last argument is a folder for the inputs; seeds are written there first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(
    include=[
        "yaml",
        "reidbench.matrix.reading.reader",
        "reidbench.matrix.reading.yamlfile",
        "reidbench.scoring.featurefile",
        "reidbench.scoring",
    ]
):
    from tests.fuzz import readers

SUFFIXES = {"score": (".npz", ".mat", ".pt", ".csv", ".parquet"), "weights": (".safetensors", ".pth", ".tar")}


def main(arguments: list[str]) -> None:
    """Fuzz one reader until the options say stop."""
    name, *options, corpus = arguments
    folder = Path(tempfile.mkdtemp())
    reader: Any = {"matrix": readers.Matrices, "score": readers.Scores, "weights": readers.Weights}[name](folder)
    suffixes = SUFFIXES.get(name, ())
    for number, seed in enumerate(_seeds(name, reader)):
        mark = bytes([suffixes.index(seed.suffix)]) if suffixes else b""
        (Path(corpus) / f"seed-{number}").write_bytes(mark + seed.data)

    def one(data: bytes) -> None:
        """The first byte chooses what the file is called, where that matters."""
        if not suffixes:
            readers.WATCH(reader, data)
        elif data:
            readers.WATCH(reader, data[1:], suffixes[data[0] % len(suffixes)])

    one(b"")  # imports that only the first input makes
    atheris.Setup([sys.argv[0], *options, corpus], one)
    atheris.Fuzz()


def _seeds(name: str, reader: Any) -> list[readers.Seed]:
    if name == "matrix":
        return [readers.Seed(seed.encode()) for seed in readers.MATRIX_SEEDS]
    return readers.score_seeds() if name == "score" else readers.weight_seeds(reader.network)


if __name__ == "__main__":
    main(sys.argv[1:])
