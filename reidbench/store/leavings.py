"""What a component may leave in its folder: ordinary files and folders of its own, under names of its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

MANIFEST = "manifest.json"
# The harness writes these at the top of an artifact, or takes what it finds there for its own work.
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
    """Something in an artifact's folder that cannot be published."""


def check_leavings(folder: Path, owner: int, reserved: frozenset[str] = OWN) -> None:
    """Raise UnfitLeavings for the first thing under `folder` that cannot be published, with the cure.

    That is whatever is no ordinary file or folder, has a second name (a hard link), belongs to another user than
    `owner`, cannot be read by its owner, or has a name in `reserved` at the top.
    """
    info = folder.lstat() if os.path.lexists(folder) else None
    if info is None or not stat.S_ISDIR(info.st_mode):
        raise UnfitLeavings("no folder at ctx.out, which it must leave as it is and only write into")
    for entry, name in _walk(folder, ""):
        if "/" not in name and name.casefold() in reserved:
            raise UnfitLeavings(f"{shown(name)} in ctx.out, a name of the harness's own files; choose another name")
        fault = _fault(entry.stat(follow_symlinks=False), owner)
        if fault:
            raise UnfitLeavings(f"{shown(name)} in ctx.out, which {fault}")


def _walk(folder: Path, before: str) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Everything under a folder with its path from there; a folder is given before it is opened."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{before}{entry.name}"
            yield entry, name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{name}/")


def _fault(info: os.stat_result, owner: int) -> str:
    """Why it cannot be published, or nothing."""
    kind = stat.S_IFMT(info.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        return f"is {KINDS.get(kind, 'not a file')}; only ordinary files and folders can be kept, so write a copy"
    if info.st_uid != owner:
        return f"belongs to another user (uid {info.st_uid}, not {owner}); write it as the user of the run"
    needed = stat.S_IRUSR | (stat.S_IXUSR if kind == stat.S_IFDIR else 0)
    if info.st_mode & needed != needed:
        return f"its owner cannot read (mode {stat.S_IMODE(info.st_mode):03o}); leave it readable"
    if kind == stat.S_IFREG and info.st_nlink > 1:
        return "is a hard link, so that a change elsewhere would change it; write a copy"
    return ""
