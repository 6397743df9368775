"""Stores that no run wrote: whole by their own checksums, with anything in their manifests, logs and places."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reidbench.cli import main
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.store.artifacts import Store

SECONDS = 20  # in which every command must have ended
DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 1e200, 10**400, -(10**30), float("nan"), float("inf"), "", "x",
    "\x1b[31m\n", "\ud800", "\u202e", "a\0b", "../../etc", "/etc", "SELF", "x" * 5000, [], [[]], [None], ["x"], [5],
    [["a", "SELF"]], [["a", "../../etc"]], [["a", 5]], [["a"]], [["a", "NEXT"]], {}, {"a": 1}, {"mAP": "x"},
    {"mAP": 10**400}, {"mAP": 1e200}, {"mAP": 99.9}, {"mAP": None}, {"": 0.5}, {"x" * 5000: 0.5}, {"torch": {"a": 1}},
    DEEP,
    "finetune", "pretrain", "embed", "evaluate", "data", ["a", "b"], {"label": 5}, {"precision": []},
)  # fmt: skip
LOGS: tuple[bytes, ...] = (
    b"", b"\xff\xfe", b'{"loss": "x"}\n', b"[1]\n", b"not json\n", b'{"loss": 1, "epoch": 1e400}\n', b"{}\n",
    b'{"loss": NaN}\n', b'{"epoch": -5, "loss": 1}\n', b'{"loss": ' + b"9" * 5000 + b"}\n", b"[" * 100_000,
    b'{"loss": true}\n', b'{"epoch": null, "loss": 1}\n', b'{"a/b\\u001b[2J": 1}\n', b'{"loss": 1, "epoch": 1}\n',
)  # fmt: skip
CLUTTER = ("lost+found", ".DS_Store", "Thumbs.db", "._x", "a file")
FOLDERS = ("objects", "claims", "tmp", "logs", "failures", "scratch", "specs", "damaged", "runs")
KINDS = (
    "pipe", "socket", "folder", "full folder", "dangling link", "link in a circle", "device", "huge", "bytes",
    "unreadable",
)  # fmt: skip
GOOD: dict[str, Any] = {
    "metrics": {"mAP": 0.5}, "seconds": 1.0, "work_seconds": 1.0, "versions": {"torch": "2"}, "platform": "p",
    "plugin": "p", "source": "s", "processor": "c", "notes": [], "protocol": [], "root": "/nowhere",
    "root_from_given": ".", "one_numbering": True, "knows_relevance": False, "host": "h", "started": "s",
    "settings": {"image_size": [32, 16], "threads": 1, "precision": "32-true", "devices": 1},
    "stage": {"kind": "evaluate", "use": "x", "label": "x", "parents": [], "data": [], "params": {}, "root": None},
}  # fmt: skip


class Forger:
    """Makes such stores for one matrix file in a folder, and tries commands on them."""

    def __init__(self, folder: Path, matrix: Path, other: Path) -> None:
        self.root, self.matrix, self.other = folder / "store", matrix, other
        registry = plugins.load()
        self.plan = plan.expand(reader.read(matrix, registry))
        self.keys = list(self.plan.stages)
        self.out = folder / "out"

    def commands(self) -> Iterator[list[str]]:
        """Every command that reads a store."""
        matrix, key = str(self.matrix), self.plan.rows[0].key or ""
        for form in ("md", "csv", "json", "latex", "html"):
            yield ["table", matrix, "--format", form]
        yield ["table", matrix, "--against", self.plan.rows[0].method]
        yield ["table", matrix, "--metric", "score", "--strict"]
        yield ["plan", matrix]
        yield ["plan", matrix, "--json"]
        yield ["clean", str(self.other), "--dry-run"]
        yield ["curves", "-o", str(self.out / "curves")]
        yield ["embed", key, str(self.matrix.parent / "pictures"), "-o", str(self.out / "o.npz")]
        yield ["search", key, *[str(self.matrix.parent / "pictures")] * 2, "-o", str(self.out / "o.html")]
        yield ["look", key, "--maps", "-o", str(self.out / "look.html")]
        yield ["export", key, "--format", "safetensors", "-o", str(self.out / "o.safetensors")]
        row = ["--file", matrix, "--row", self.plan.rows[0].method, "--task", self.plan.rows[0].task]
        yield ["look", *row, "--maps", "-o", str(self.out / "row.html")]
        yield ["export", *row, "--format", "safetensors", "-o", str(self.out / "row.safetensors")]
        yield ["run", matrix, "--executor", "inline"]
        yield ["clean", str(self.other)]

    def forge(self, rng: random.Random) -> str:
        """A new store; returns what is odd about it."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        place, value = self._manifest(rng)
        log = rng.choice(LOGS)
        store = Store(self.root)
        for number, stage in enumerate(self.plan.stages.values()):
            if rng.random() < 0.1:
                continue
            replaced = {"SELF": stage.key, "NEXT": self.keys[(number + 1) % len(self.keys)]}
            with store.publishing(stage.key) as (folder, manifest):
                forged = json.loads(json.dumps(GOOD | {"stage": GOOD["stage"] | {"kind": stage.kind}}))
                _put(forged, place, _with(value, replaced))
                manifest |= forged
                (folder / "log.jsonl").write_bytes(log)
        where = self._place(rng) if rng.random() < 0.3 else ""
        return f"{'.'.join(place)} = {str(value)[:60]!r}, log {log[:30]!r}{where}"

    def _manifest(self, rng: random.Random) -> tuple[tuple[str, ...], Any]:
        fields: list[tuple[str, ...]] = [(name,) for name in GOOD]
        fields += [("stage", name) for name in GOOD["stage"]] + [("settings", name) for name in GOOD["settings"]]
        return rng.choice(fields), rng.choice((*ODD, MISSING))

    def _place(self, rng: random.Random) -> str:
        """Something odd among the store's folders."""
        what, folder = rng.choice(CLUTTER), self.root / rng.choice(FOLDERS)
        if rng.random() < 0.7:
            kind, name = rng.choice(KINDS), rng.choice(names_in(folder.name, rng.choice(self.keys)))
            put(folder / name, kind)
            return f", {kind} at {folder.name}/{name}"
        if what == "a file":
            shutil.rmtree(folder, ignore_errors=True)
            folder.touch()
        else:
            folder.mkdir(exist_ok=True)
            (folder / what).mkdir() if rng.random() < 0.5 else (folder / what).touch()
        return f", {what} at {folder.name}"

    def attempt(self, command: list[str]) -> str:
        """The error in how a command ended, or nothing. Raises TimeoutError after SECONDS."""
        out, err = io.StringIO(), io.StringIO()
        before, sys.argv = sys.argv, ["reidbench", *command, "--store", str(self.root)]
        signal.signal(signal.SIGALRM, _slow)
        signal.alarm(SECONDS)
        code: Any = None
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main.main()
        except SystemExit as end:
            code = end.code
        except BaseException as error:  # noqa: BLE001 - any exception is what this looks for
            return f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            signal.alarm(0)
            sys.argv = before
        if "Traceback" in err.getvalue() or code not in (0, 1, 2, None):
            return f"exit {code}: {err.getvalue()[-300:]}"
        if "\x1b" in out.getvalue() + err.getvalue():
            return "an escape sequence reaches the terminal"
        return "" if code != 2 or err.getvalue().strip() else "it failed without a word"


def names_in(folder: str, key: str) -> tuple[str, ...]:
    """Names in a store's folder: as ours, as nobody's, and such as cannot be typed or be part of another name."""
    odd = ("x", "x.json", "a b-1-2", "-", os.fsdecode(b"\xff.json"), "y" * 250)
    return {
        "objects": (key,), "scratch": (key,), "runs": ("0" * 32 + ".json",),
        "claims": (f"{key}.json", ".lock", ".clock"),
        "logs": (f"{key}.log",), "failures": (f"{key}.json",), "specs": (f"{key}-1-0.json",),
        "tmp": (f"{key}-1-0", f"{key}-{os.getpid()}-0"), "damaged": (f"{key}-1",),
    }[folder] + odd  # fmt: skip


def put(place: Path, kind: str) -> None:
    """Something of that kind, replacing anything at that path."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            here = place.parent / "s"  # addresses are short, and may not be in any name
            one.bind(os.path.relpath(here))
            here.rename(place)
    elif kind.endswith("folder"):
        place.mkdir()
        if kind == "full folder":
            (place / "a user's own").write_text("x")
    elif kind in LINKS:
        place.symlink_to(LINKS[kind] or place.name)
    else:
        place.write_bytes(b"\xff\xfe\x00{" if kind == "bytes" else b"{}")
        if kind == "huge":
            os.truncate(place, 1 << 40)  # which takes no space
        elif kind == "unreadable":
            place.chmod(0)


LINKS = {"dangling link": "nowhere", "link in a circle": "", "device": "/dev/zero"}


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


def _put(manifest: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        manifest = manifest[name]
    if isinstance(value, _Missing):
        del manifest[place[-1]]
    else:
        manifest[place[-1]] = value


def _with(value: Any, replaced: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_with(one, replaced) for one in value] if value is not DEEP else value
    return replaced.get(value, value) if isinstance(value, str) else value


def _slow(*_: object) -> None:
    raise TimeoutError(f"no end in {SECONDS} s")


def tries(forger: Forger, count: int, seed: int, figure: Callable[[str], None]) -> list[str]:
    """This number of stores under one command each or, for small counts, under all; returns the errors."""
    rng = random.Random(seed)
    commands = list(forger.commands())
    bad: list[str] = []
    for number in range(count):
        odd = forger.forge(rng)
        command = commands[number % len(commands)]
        wrong = forger.attempt(command)
        if wrong:
            bad.append(f"store {number}: {odd}: {' '.join(map(os.path.basename, command))}: {wrong}")
    figure(f"{count} forged stores, {len(bad)} ended badly")
    return bad
