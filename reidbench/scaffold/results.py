"""Scaffold of a results repository: README, submission guide, and scripts that verify packs and build a site.

Start with `repository/verify.sh.tmpl`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from reidbench import __version__
from reidbench.errors import ReidbenchError

from . import write_files

FILES = {  # path in the repository -> template; templates of hidden files have no dot, so that they are visible
    "README.md": "README.md",
    "SUBMITTING.md": "SUBMITTING.md",
    "Makefile": "Makefile",
    "verify.sh": "verify.sh",
    "site.sh": "site.sh",
    "requirements.txt": "requirements.txt",
    "allowed_signers": "allowed_signers",
    ".gitignore": "gitignore",
    ".gitattributes": "gitattributes",
    ".github/workflows/verify.yml": "verify.yml",
    ".github/workflows/site.yml": "site.yml",
}
LONGEST = 100  # characters of a board's name


def render(name: str) -> dict[str, str]:
    """Return the files of a repository for a board: path -> text. Raises ReidbenchError for a bad name."""
    if not name.strip() or not name.isprintable() or len(name) > LONGEST:
        raise ReidbenchError(
            f"--name {name[:LONGEST]!r}: expected one line of 1 to {LONGEST} characters, the board's title"
        )
    here = resources.files(__package__) / "repository"
    texts = {path: (here / f"{template}.tmpl").read_text(encoding="utf-8") for path, template in FILES.items()}
    filled = {path: text.replace("@VERSION@", __version__) for path, text in texts.items()}
    filled["README.md"] = filled["README.md"].replace("@NAME@", name.strip())
    return filled | {"packs/.gitkeep": ""}


def write(folder: Path, name: str | None = None) -> Path:
    """Write a repository to a folder that is new, empty, or an empty clone. Default name of the board: the folder's.

    Raises ReidbenchError for any other folder, and for a bad name.
    """
    write_files(folder, render(folder.resolve().name if name is None else name), beside=(".git",))
    return folder
