"""Each folder of tests mirrors a folder of the code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
WHOLE = {"example_plugin", "faults", "fuzz", "hostile", "plugins", "project", "support"}  # not about a single folder


def folders(place: Path) -> set[str]:
    """Relative paths of the folders below a place, without caches."""
    found = (folder.relative_to(place) for folder in place.rglob("*") if folder.is_dir())
    return {folder.as_posix() for folder in found if "__pycache__" not in folder.parts}


def test_each_folder_of_tests_mirrors_one_of_the_code() -> None:
    tests = {folder for folder in folders(ROOT / "tests") if folder.split("/")[0] not in WHOLE}
    assert len(tests) > 20
    assert tests - folders(ROOT / "reidbench") == set()
    of_plugins = {f"reidbench_{folder}" for folder in folders(ROOT / "tests" / "plugins")}
    assert len(of_plugins) > 11
    assert of_plugins - folders(ROOT / "plugins") == set()
