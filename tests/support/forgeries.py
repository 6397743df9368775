"""Two hundred damaged, forged or malicious packs, each derived from a valid one.

A forger recomputes every checksum, since none needs a secret. `REFUSED` packs must not open; for `FORGED` ones the
checks must name what does not follow from the features.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.packs.entries import to_json
from reidbench.store.manifests import sealed

from .forging import Files, files_of, indexed, packed

Change = Callable[[Files, random.Random], None]
REFUSED, FORGED = "refused", "forged"


@dataclass(frozen=True)
class Forgery:
    """The bytes of one such pack, and the expected outcome."""

    name: str
    expected: str
    data: bytes


def forgeries(pack: Path, count: int = 200, seed: int = 0) -> Iterator[Forgery]:
    """Yield `count` packs: each kind once, then random ones again with other positions and values."""
    rng = random.Random(seed)
    sound = files_of(pack)
    ways = [
        *((name, REFUSED, make) for name, make in RAW.items()),
        *((name, REFUSED, _of_contents(change)) for name, change in BROKEN.items()),
        *((name, FORGED, _of_contents(change)) for name, change in UNTRUE.items()),
    ]
    for number in range(count):
        name, expected, make = ways[number % len(ways)]
        yield Forgery(f"{name} {number // len(ways)}", expected, make(dict(sound), rng))


def _of_contents(change: Change) -> Callable[[Files, random.Random], bytes]:
    def make(entries: Files, rng: random.Random) -> bytes:
        change(entries, rng)
        return packed(entries if "pack.json" not in entries else indexed(entries))

    return make


# ---------------------------------------------------------------------- the file itself
def _zip(entries: Files, compression: int = zipfile.ZIP_STORED, **fields: Any) -> bytes:
    """An archive in a different format; `fields` are set in each entry's header."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.create_system = compression, 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, entries[name])
    return stream.getvalue()


def _with_entry(name: str, data: bytes = b"x") -> Callable[[Files, random.Random], bytes]:
    return lambda entries, rng: packed(indexed({**entries, name: data}))


def _bomb(entries: Files, rng: random.Random) -> bytes:
    name = rng.choice(sorted(entries))
    return _zip({**entries, name: bytes(100 << 20)}, zipfile.ZIP_DEFLATED)


def _flipped(entries: Files, rng: random.Random) -> bytes:
    data = bytearray(packed(entries))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(entries: Files, rng: random.Random) -> bytes:
    data = packed(entries)
    return data[: rng.randrange(len(data))]


def _patched(place: int, value: bytes) -> Callable[[Files, random.Random], bytes]:
    """Overwrite bytes of the central header of one entry; `place` counts from its start."""

    def make(entries: Files, rng: random.Random) -> bytes:
        data = bytearray(packed(entries))
        starts = []
        at = int.from_bytes(data[-6:-2], "little")
        while data[at : at + 4] == b"PK\1\2":
            starts.append(at)
            at += 46 + int.from_bytes(data[at + 28 : at + 30], "little")
        start = rng.choice(starts[1:])
        data[start + place : start + place + len(value)] = value
        return bytes(data)

    return make


def _claims_many(entries: Files, rng: random.Random) -> bytes:
    data = bytearray(packed(entries))
    data[-14:-10] = b"\xff\xff\xff\xff"
    return bytes(data)


RAW: dict[str, Callable[[Files, random.Random], bytes]] = {
    "no zip file": lambda entries, rng: rng.randbytes(rng.randrange(2000)),
    "an empty file": lambda entries, rng: b"",
    "an empty zip file": lambda entries, rng: _zip({}),
    "a path upwards": _with_entry("../../escaped.json"),
    "a path upwards in the middle": _with_entry("manifests/../../escaped.json"),
    "an absolute path": _with_entry("/escaped.json"),
    "a path of Windows": _with_entry("C:\\escaped.json"),
    "backslashes": _with_entry("results\\..\\..\\escaped"),
    "a null character": _with_entry("manifests/a\0b.json"),
    "a folder": _with_entry("manifests/", b""),
    "a program": _with_entry("plugins/evil.py", b"raise SystemExit(1)"),
    "a pickle": _with_entry("features/x.pkl", b"cos\nsystem\n(S'true'\ntR."),
    "a long name": _with_entry(f"manifests/{'a' * 5000}.json"),
    "compressed": lambda entries, rng: _zip(entries, zipfile.ZIP_DEFLATED),
    "a bomb": _bomb,
    "links": lambda entries, rng: _zip(entries, external_attr=(stat.S_IFLNK | 0o777) << 16),
    "devices": lambda entries, rng: _zip(entries, external_attr=(stat.S_IFCHR | 0o777) << 16),
    "encrypted": lambda entries, rng: _patched(8, b"\1\0")(entries, rng),
    "another size in the list": _patched(24, (1 << 30).to_bytes(4, "little")),
    "another compressed size": _patched(20, (1 << 30).to_bytes(4, "little")),
    "entries over each other": _patched(42, bytes(4)),
    "another checksum": _patched(16, b"\1\2\3\4"),
    "an extra field": lambda entries, rng: _zip(entries, extra=b"\xca\xfe\0\0"),
    "comments of entries": lambda entries, rng: _zip(entries, comment=b"hidden"),
    "another date": lambda entries, rng: _zip(entries, date_time=(2026, 1, 1, 0, 0, 0)),
    "bytes before": lambda entries, rng: b"#!/bin/sh\nexit 1\n" + packed(entries),
    "bytes behind": lambda entries, rng: packed(entries) + rng.randbytes(50),
    "two archives": lambda entries, rng: packed(entries) + packed(entries),
    "many entries claimed": _claims_many,
    "a flipped bit": _flipped,
    "another flipped bit": _flipped,
    "cut off": _cut,
}


# ---------------------------------------------------------------------- contents of the files
def _keys(entries: Files, kind: str) -> list[str]:
    """The keys of the stages of a kind."""
    found = []
    for name, data in entries.items():
        if name.startswith("manifests/") and json.loads(data)["stage"]["kind"] == kind:
            found.append(json.loads(data)["key"])
    return sorted(found)


def _manifest(entries: Files, key: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest, and recompute its checksum."""
    name = f"manifests/{key}.json"
    manifest = json.loads(entries[name])
    change(manifest)
    entries[name] = sealed(manifest).encode()


def _replace(name: str, data: bytes) -> Change:
    def change(entries: Files, rng: random.Random) -> None:
        entries[name] = data

    return change


def _about(**fields: Any) -> Change:
    def change(entries: Files, rng: random.Random) -> None:
        entries["pack.json"] = to_json({**json.loads(entries["pack.json"]), **fields})

    return change


def _features(make: Callable[[bytes, random.Random], bytes]) -> Change:
    def change(entries: Files, rng: random.Random) -> None:
        name = rng.choice(sorted(name for name in entries if name.startswith("features/")))
        entries[name] = make(entries[name], rng)

    return change


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _half(data: bytes) -> np.ndarray:
    found: np.ndarray = np.load(io.BytesIO(data))
    return found.copy()


def _not_a_number(data: bytes, rng: random.Random) -> bytes:
    array = _half(data)
    array[rng.randrange(len(array)), 0] = rng.choice([np.nan, np.inf])
    return _npy(array)


def _without(prefix: str) -> Change:
    def change(entries: Files, rng: random.Random) -> None:
        del entries[rng.choice(sorted(name for name in entries if name.startswith(prefix)))]

    return change


def _per_query(data: bytes) -> Change:
    """Another per_query.npz, with its hash in the manifest."""

    def change(entries: Files, rng: random.Random) -> None:
        _put_result(entries, rng.choice(_keys(entries, "evaluate")), "per_query.npz", data)

    return change


def _put_result(entries: Files, key: str, name: str, data: bytes) -> None:
    entries[f"results/{key}/{name}"] = data
    said = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _manifest(entries, key, lambda manifest: manifest["files"].update({name: said}))


def _npz(compression: int, **arrays: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in arrays.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def _of_manifest(kind: str, change: Callable[[dict[str, Any]], None]) -> Change:
    return lambda entries, rng: _manifest(entries, rng.choice(_keys(entries, kind)), change)


def _renamed_manifest(entries: Files, rng: random.Random) -> None:
    key = rng.choice(_keys(entries, "evaluate"))
    entries[f"manifests/{'0' * 32}.json"] = entries.pop(f"manifests/{key}.json")


HUGE = (
    b"\x93NUMPY\1\0v\0"
    + b"{'descr': '<f2', 'fortran_order': False, 'shape': (99999999, 99999999), }".ljust(117)
    + b"\n"
)
BROKEN: dict[str, Change] = {
    "no index": lambda entries, rng: entries.pop("pack.json") and None,
    "an index of a different format": _about(format=2),
    "an index with more in it": _about(also="this"),
    "no board": _without("board.json"),
    "no matrix file": _without("matrix.yaml"),
    "a board nested deeply": _replace("board.json", b"[" * 100_000 + b"]" * 100_000),
    "a board with NaN": _replace("board.json", b'{"text": NaN}\n'),
    "a board that is a list": _replace("board.json", b"[]\n"),
    "a matrix file that is not text": _replace("matrix.yaml", b"\xff\xfe\xfd"),
    "another matrix file": _replace("matrix.yaml", b"title: another\n"),
    "features as objects": _features(lambda data, rng: _npy(np.array([[{}]], dtype=object))),
    "features in double precision": _features(lambda data, rng: _npy(_half(data).astype(np.float64))),
    "features without end": _features(lambda data, rng: HUGE),
    "features that are not numbers": _features(_not_a_number),
    "features cut off": _features(lambda data, rng: data[:-2]),
    "one side of the features": _without("features/"),
    "results that are another file": lambda entries, rng: entries.update(
        {f"results/{rng.choice(_keys(entries, 'evaluate'))}/per_query.npz": b"PK"}
    ),
    "a compressed npz": _per_query(_npz(zipfile.ZIP_DEFLATED, ap=_npy(np.zeros(10_000_000)))),
    "an npz of objects": _per_query(_npz(zipfile.ZIP_STORED, ap=_npy(np.array([{}], dtype=object)))),
    "a manifest of another key": _renamed_manifest,
    "a manifest with infinity": _of_manifest("evaluate", lambda m: m["metrics"].update(mAP=float("inf"))),
    "a manifest with text for numbers": _of_manifest("evaluate", lambda m: m["metrics"].update(mAP="0.99")),
    "a manifest that names files outside": _of_manifest(
        "evaluate", lambda m: m["files"].update({"../escaped": {"sha256": "0", "size": 1}})
    ),
    "a manifest that is its own parent": _of_manifest(
        "evaluate", lambda m: m["stage"].update(parents=[["features.0", m["key"]]])
    ),
}


# ---------------------------------------------------------------------- numbers that do not follow
def _better(value: float, rng: random.Random) -> float:
    return min(1.0, value + rng.choice([0.02, 0.1, 0.5])) if value < 0.98 else value - 0.1


def _metrics(names: Callable[[Mapping[str, float]], list[str]], *, rounded: bool) -> Change:
    """Better numbers of one evaluation, also as recorded for the features."""

    def change(entries: Files, rng: random.Random) -> None:
        key = rng.choice(_keys(entries, "evaluate"))
        new: dict[str, float] = {}

        def claim(manifest: dict[str, Any]) -> None:
            new.update({name: _better(manifest["metrics"][name], rng) for name in names(manifest["metrics"])})
            manifest["metrics"].update(new)

        _manifest(entries, key, claim)
        if rounded:
            name = f"rounded/{key}.json"
            entries[name] = to_json({**json.loads(entries[name]), **new})

    return change


def _two(entries: Files, kind: str, rng: random.Random) -> tuple[str, str]:
    """Two different stages of a kind."""
    first, second = rng.sample(_keys(entries, kind), 2)
    return first, second


def _swapped_features(entries: Files, rng: random.Random) -> None:
    first, second = _two(entries, "embed", rng)
    for side in ("query", "gallery"):
        one, other = (f"features/{key}/{side}.npy" for key in (first, second))
        entries[one], entries[other] = entries[other], entries[one]


def _shuffled_features(entries: Files, rng: random.Random) -> None:
    name = f"features/{rng.choice(_keys(entries, 'embed'))}/query.npy"
    array = _half(entries[name])
    entries[name] = _npy(array[np.random.default_rng(rng.randrange(1 << 30)).permutation(len(array))])


def _fewer_queries(entries: Files, rng: random.Random) -> None:
    name = f"features/{rng.choice(_keys(entries, 'embed'))}/query.npy"
    entries[name] = _npy(_half(entries[name])[: rng.randrange(1, 10)])


def _another_rule(entries: Files, rng: random.Random) -> None:
    """Drop the camera rule in the manifest but not in the row."""
    key = rng.choice(_keys(entries, "evaluate"))
    rule = rng.choice([{"camera": "none"}, {"ap": "trapezoid"}, {"ties": "best"}, {"invalid": "zero"}])
    _manifest(entries, key, lambda manifest: manifest["stage"]["params"].update(rule))


def _per_query_better(entries: Files, rng: random.Random) -> None:
    """Per-query results that do not follow from the features, with metrics that are their means."""
    key = rng.choice(_keys(entries, "evaluate"))
    with np.load(io.BytesIO(entries[f"results/{key}/per_query.npz"])) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    arrays["ap"] = np.where(np.isnan(arrays["ap"]), np.nan, 0.99)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    _put_result(entries, key, "per_query.npz", stream.getvalue())
    _manifest(entries, key, lambda manifest: manifest["metrics"].update(mAP=0.99))


UNTRUE: dict[str, Change] = {
    "a better mAP": _metrics(lambda metrics: ["mAP"], rounded=False),
    "a better mAP, and the features are said to give it": _metrics(lambda metrics: ["mAP"], rounded=True),
    "a better rank 1": _metrics(lambda metrics: ["cmc1"], rounded=False),
    "all better": _metrics(sorted, rounded=False),
    "all better, and the features are said to give it": _metrics(sorted, rounded=True),
    "better results of the queries": _per_query_better,
    "features of two rows exchanged": _swapped_features,
    "features in a different order": _shuffled_features,
    "features of fewer queries": _fewer_queries,
    "another rule of the evaluator": _another_rule,
}
