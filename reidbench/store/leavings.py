"""Checks of a component's output folder: only regular files and folders, under names that are not reserved."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

MANIFEST = "manifest.json"
# Reserved at the top of an artifact: reidbench writes these, or reads them for its own purposes.
OWN = frozenset(
    {MANIFEST, "log.jsonl", "clusters.npz", "features.npz", "images.npz", "per_query.npz", "notes.json"}
    | {"selection.npz", "files.csv", "backbone.json", "backbone.safetensors", "embedder.json", "embedder.safetensors"}
    | {f"{part}.json" for part in ("train", "query", "gallery", "train-hidden", "test-hidden")}
)
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnfitLeavings(ReidbenchError):
    """Raised for anything in an artifact's folder that cannot be published."""


def check_leavings(folder: Path, owner: int, reserved: frozenset[str] = OWN) -> None:
    """Raise UnfitLeavings for the first thing under `folder` that cannot be published, with a fix.

    That is anything but regular files and folders, and anything with a second name (a hard link), of a user other than
    `owner`, unreadable by its owner, or with a name in `reserved` at the top.
    """
    info = folder.lstat() if os.path.lexists(folder) else None
    if info is None or not stat.S_ISDIR(info.st_mode):
        raise UnfitLeavings("no folder at ctx.out; a component must not replace it, only write into it")
    for entry, name in _walk(folder, ""):
        if "/" not in name and name.casefold() in reserved:
            raise UnfitLeavings(f"{shown(name)} in ctx.out, which is a reserved name; choose another name")
        fault = _fault(entry.stat(follow_symlinks=False), owner)
        if fault:
            raise UnfitLeavings(f"{shown(name)} in ctx.out, which {fault}")


def _walk(folder: Path, before: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield everything under a folder with its relative path; a folder comes before its contents."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{before}{entry.name}"
            yield entry, name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{name}/")


def _fault(info: os.stat_result, owner: int) -> str:
    """Return why something cannot be published, or ""."""
    kind = stat.S_IFMT(info.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        return f"is {KINDS.get(kind, 'not a file')}; only regular files and folders can be published, so write a copy"
    if info.st_uid != owner:
        return f"belongs to another user (uid {info.st_uid}, not {owner}); write it as the user of the run"
    needed = stat.S_IRUSR | (stat.S_IXUSR if kind == stat.S_IFDIR else 0)
    if info.st_mode & needed != needed:
        return f"its owner cannot read (mode {stat.S_IMODE(info.st_mode):03o}); leave it readable"
    if kind == stat.S_IFREG and info.st_nlink > 1:
        return "is a hard link, whose content could change through another name; write a copy"
    return ""
