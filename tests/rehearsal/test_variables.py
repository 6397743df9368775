"""Roots that a file names by environment variables."""

from __future__ import annotations

from pathlib import Path

from reidbench.rehearsal.variables import named_files, named_roots


def test_only_a_variable_that_is_the_whole_root_can_be_exported() -> None:
    given = {
        "one": "${ONE}",
        "two": "$TWO",
        "below": "${DATA}/below",
        "detected": "${CUHK03}",
        "labeled": "${CUHK03}",
        "plain": "/data/plain",
    }
    content = {"data": {name: {"use": "any", "root": root} for name, root in given.items()}}
    roots = {name: Path("/kept") / name for name in given}
    assert named_roots(content, roots) == {"ONE": Path("/kept/one"), "TWO": Path("/kept/two")}
    assert named_roots(content, dict.fromkeys(given, Path("/same")))["CUHK03"] == Path("/same")
    assert named_roots(["no map"], roots) == {}


def test_files_that_are_a_variable_alone_can_be_exported() -> None:
    files = {"${RESNET50}": Path("/kept/one.pth"), "$LUP": Path("/kept/two.pth"), "/nowhere/x.pth": Path("/kept/three")}
    assert named_files(files) == {"RESNET50": Path("/kept/one.pth"), "LUP": Path("/kept/two.pth")}
