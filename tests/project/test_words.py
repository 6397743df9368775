"""The prose of the repository uses no word that tests/support/prose.py lists, and the tool finds these words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import prose

ROOT = prose.ROOT


def found_in(path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text)
    return sorted((one.line, one.word) for piece in prose.prose_of(path) for one in prose.findings(piece))


@pytest.mark.slow
def test_no_avoided_words() -> None:
    files = [file for file in prose.files([ROOT]) if file != Path(__file__)]  # which quotes the words
    found = [one for file in files for piece in prose.prose_of(file) for one in prose.findings(piece)]
    assert [str(one) for one in found] == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The file tells its key.", "tells"),
        ("Whatever it is.", "whatever"),
        ("a row beside it", "beside"),
        ("It is no number.", "is no"),
        ("The run goes on.", "goes on"),
        ("It has a name of its own.", "one's own"),
        ("Rows are held against numbers.", "held against"),
        ("what sets them apart", "set apart"),
        ("It shall not.", "archaic"),
        ("as many as it can", "so many"),
    ],
)
def test_avoided_words_are_found(text: str, word: str, tmp_path: Path) -> None:
    assert found_in(tmp_path / "page.md", f"# Page\n\n{text}\n") == [(3, word)]


@pytest.mark.parametrize(
    "text",
    [
        "There is no match.",
        "It is no longer used.",
        "A stand-in stands for it.",
        "`whatever`",
        "[a](beside.md)",
        "onto",
    ],
)
def test_good_english_is_not_found(text: str, tmp_path: Path) -> None:
    assert found_in(tmp_path / "page.md", text) == []


def test_code_and_generated_tables_are_left_out(tmp_path: Path) -> None:
    text = "```sh\nwhatever\n```\n<!-- table: pack.zip -->\n| anew |\n<!-- end of table -->\nanew\n"
    assert found_in(tmp_path / "page.md", text) == [(7, "anew")]


def test_docstrings_comments_and_messages_are_prose(tmp_path: Path) -> None:
    text = '''"""What it does.

It lies here.
"""

anew = "anew"  # likewise


def whatever() -> str:
    """Return it anew."""
    raise ValueError("it stands alone, and lies there")
'''
    assert found_in(tmp_path / "module.py", text) == [
        (1, "opening"),
        (3, "lies"),
        (6, "likewise"),
        (10, "anew"),
        (11, "lies"),
    ]


def test_comments_of_yaml_are_prose(tmp_path: Path) -> None:
    assert found_in(tmp_path / "matrix.yaml", "whatever: 1\nb: 2  # whatever\n") == [(2, "whatever")]


def test_the_words_and_their_replacements_are_documented() -> None:
    """CONTRIBUTING.md has a line for each word, or one of its group."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Words\n")[1]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `") or line.startswith("| X ")]
    text = "\n".join(rows).replace("`", "")
    missing = [
        word for word, pattern in prose.AVOIDED.items() if not re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]
    assert missing == []
