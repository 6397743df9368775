"""Environment variables that a matrix file names and nobody has set: in a rehearsal they lead to where nothing is."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

NAMED = re.compile(r"\$\{(\w+)\}")


@contextlib.contextmanager
def unset_variables(file: Path, overrides: Sequence[str], nowhere: Path) -> Iterator[None]:
    """Inside the block each `${NAME}` of the file that is not set leads to `nowhere`/NAME.

    A file that cannot be read is for its reader to complain of.
    """
    text = " ".join(overrides)
    with contextlib.suppress(OSError):
        text += file.read_bytes().decode(errors="replace")
    added = {name: str(nowhere / name) for name in NAMED.findall(text) if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def named_roots(content: object, roots: Mapping[str, Path]) -> dict[str, Path]:
    """Of these roots, by data set, those that the content of a file gives as `${NAME}` alone, by that name.

    A variable that stands for two different roots is left out.
    """
    found: dict[str, set[Path]] = {}
    data = content.get("data") if isinstance(content, dict) else None
    for name, root in roots.items():
        given = data.get(name) if isinstance(data, dict) else None
        written = given.get("root") if isinstance(given, dict) else None
        alone = NAMED.fullmatch(written) if isinstance(written, str) else None
        if alone:
            found.setdefault(alone[1], set()).add(root)
    return {name: next(iter(places)) for name, places in found.items() if len(places) == 1}
