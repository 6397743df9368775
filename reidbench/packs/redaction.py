"""Redact packs: no absolute paths, and no names of users or hosts."""

from __future__ import annotations

import getpass
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.files.cache import cache_folder
from reidbench.files.names import shown
from reidbench.matrix.stage import Plan
from reidbench.store.artifacts import Store

# Known folders are first replaced by marks of these characters, then by names in brackets.
OPEN, CLOSE = "\ue000", "\ue001"
MARK = re.compile(f"{OPEN}(\\d+){CLOSE}")
PART = r"[^\s/\\\"'<>|:;,*?(){}\[\]`\ue000\ue001]"  # of an unknown path; punctuation of the sentence ends it
WORDS = rf"{PART}+(?:[ ]{PART}+){{0,3}}"  # a name with spaces counts if a slash follows
PATH = re.compile(
    rf"""
      (?P<url>\b(?!file:)[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+)      # URLs are kept
    | file:(?://[^\s"'<>]+|/[^\s"'<>]+)
    | (?<![\w])[A-Za-z]:[\\/]+(?:{WORDS}[\\/]+)*{PART}*              # C:\Users\name
    | (?<![\w\\])\\\\(?:{WORDS}\\+)+{PART}*                         # \\server\share
    | (?<![\w./\\~-])~[A-Za-z0-9_][\w.-]*(?:/+(?:{WORDS}/+)*{PART}*)? # ~name/data
    | (?<![\w.}}~<>{CLOSE}/-])/+(?=[\w.~$@%+-])(?:{WORDS}/+)*{PART}*   # /home/name/data
    """,
    re.VERBOSE,
)
HOME = re.compile(
    r"(?:/+(?:[\w.-]+/+)*(?:home|Users)|[A-Za-z]:[\\/]+(?:Users|Documents and Settings))[\\/]+[^\\/]+[\\/]*"
)
KNOWN = re.compile("<(?:root of [^<>]*|store|folder of the file|cache|temp|cwd|home)>/")
# Names that are ordinary words: they are not searched for, but paths with them are replaced anyway.
_ORDINARY = (
    "root user users admin administrator test tests tester guest me you ubuntu debian ec2-user centos ci runner"
    " docker build builder nobody data home work local localhost host server desktop laptop linux mac windows default"
    " jovyan vscode vagrant pi app main lab dev python torch numpy"
)
ORDINARY = frozenset(_ORDINARY.split())
SHORTEST = 3  # length of a name to search for


class Redaction:
    """Replaces known folders by their meaning, and any other absolute path by its last part."""

    def __init__(self, known: Iterable[tuple[str, str]] = (), names: Iterable[str] = ()) -> None:
        """`known` are folders and their replacements; `names` are users and hosts that no text may contain."""
        spellings: dict[str, str] = {}
        for folder, name in known:
            for spelling in (folder, os.path.realpath(folder)):
                if len(spelling.strip("/")) > 1:
                    spellings.setdefault(spelling.rstrip("/"), name)
        self._labels = list(dict.fromkeys(spellings.values()))
        self._marks = {folder: f"{OPEN}{self._labels.index(name)}{CLOSE}" for folder, name in spellings.items()}
        longest = sorted(map(re.escape, spellings), key=len, reverse=True)
        self._known = re.compile(f"(?:{'|'.join(longest)})(?![\\w-]|\\.\\w)") if longest else None
        self.names = frozenset(name for name in names if len(name) >= SHORTEST and name.lower() not in ORDINARY)

    @classmethod
    def of(cls, plan: Plan, store: Store, hosts: Iterable[str] = (), *, with_host: bool = False) -> Redaction:
        """Return the redaction for this machine, a plan's data, and the hosts of its results."""
        benchmark = plan.benchmark
        known = [(str(one.root.absolute()), f"root of {one.name}") for one in benchmark.data.values() if one.root]
        known += [(str(stage.root), f"root of {stage.use}") for stage in plan.stages.values() if stage.root]
        own = {"store": store.root, "folder of the file": benchmark.file.parent, "cache": cache_folder()}
        own |= {"temp": Path(tempfile.gettempdir()), "cwd": Path()}
        known += [(str(folder.absolute()), name) for name, folder in own.items()]
        known += [(folder, "home") for folder in homes()]
        return cls(known, users() if with_host else {*users(), *host_names(), *hosts})

    def text(self, given: str) -> str:
        """Return text without paths of this machine."""
        marked = given.replace(OPEN, "").replace(CLOSE, "")
        if self._known:
            marked = self._known.sub(lambda found: self._marks[found[0]], marked)
        bare = PATH.sub(_last_part, marked)
        return MARK.sub(lambda found: f"<{self._labels[int(found[1])]}>", bare)

    def value(self, given: Any) -> Any:
        """Redact all strings of a JSON value, including field names."""
        if isinstance(given, str):
            return self.text(given)
        if isinstance(given, Mapping):
            return {self.text(str(name)): self.value(value) for name, value in given.items()}
        if isinstance(given, list | tuple):
            return [self.value(value) for value in given]
        return given

    def check(self, name: str, content: bytes, words: frozenset[str] = frozenset(), what: str = "the pack") -> None:
        """Raise ReidbenchError if a file of `what` contains the name of a user or a host as a whole word.

        `words` are allowed: names of components and packages.
        """
        for wanted in sorted(self.names - words):
            if found := _found(wanted, content):
                raise ReidbenchError(
                    f"{what} would contain the name {shown(wanted)!r} of a user or host ({name}: {shown(found)}): "
                    "move or rename the data, or (for a host) use --host"
                )


def bare(given: str) -> str:
    """Return text with the last part of each path only, to compare text of different machines and packs."""
    return PATH.sub(_last_part, KNOWN.sub("/", given))


def _last_part(found: re.Match[str]) -> str:
    text = found[0]
    if found["url"]:
        return text
    if HOME.fullmatch(text):
        return "<home>"
    parts = [part for part in re.split(r"[\\/]+", text) if part]
    if len(parts) == 1 and text.startswith("~"):
        return "<home>"
    ending = re.search(r"[.!]*$", parts[-1]) if parts else None  # of the sentence
    last = parts[-1] if parts else ""
    return last if last.strip(".") else f"<path>{ending[0] if ending else ''}"


def _found(name: str, content: bytes) -> str:
    """Return the text around a name that occurs as a whole word, or ""."""
    pattern = rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"
    for text in _texts(name, content):
        if found := re.search(pattern, text, re.IGNORECASE):
            return text[max(found.start() - 30, 0) : found.end() + 30]
    return ""


def _texts(name: str, content: bytes) -> Iterable[str]:
    """Yield a file's text as UTF-8, and as UTF-32 at all alignments (arrays of text), if it may contain the name."""
    for encoding in ("utf-8", "utf-32-le"):
        if re.search(re.escape(name.encode(encoding)), content, re.IGNORECASE):
            for shift in range(4 if encoding == "utf-32-le" else 1):
                yield content[shift:].decode(encoding, "replace")


def homes() -> set[str]:
    """Return the home folder from the environment and from the user database."""
    found = {os.environ.get("HOME", ""), os.environ.get("USERPROFILE", "")}
    found.add(_or_nothing(lambda: str(Path.home())))
    return {folder for folder in found if folder.strip("/")}


def users() -> set[str]:
    """Return the names of this user."""
    found = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")}
    return {*found, _or_nothing(getpass.getuser), *(Path(home).name for home in homes())} - {""}


def host_names() -> set[str]:
    """Return the names of this host, with and without the domain."""
    found = {os.environ.get("HOSTNAME", ""), socket.gethostname()}
    return {part for name in found for part in (name, name.partition(".")[0]) if part}


def _or_nothing(asked: Callable[[], str]) -> str:
    try:
        return asked()
    except (OSError, KeyError, RuntimeError):  # the user database lacks this user
        return ""
