"""Invalid packs are refused in one sentence, and nothing of them is unpacked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reidbench.errors import ReidbenchError
from reidbench.packs import entries as form
from reidbench.packs.archive import sums, write_archive
from reidbench.packs.merging import PackSource, merge
from reidbench.packs.reading import Pack
from reidbench.store.artifacts import Store
from reidbench.store.manifests import sealed
from tests.packs.conftest import Ran

Files = dict[str, bytes]


@pytest.fixture
def files(ran: Ran) -> Files:
    with zipfile.ZipFile(ran.pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, out: Path, *, list_again: bool = True) -> Path:
    """A pack of these files, whose pack.json names them as they are."""
    files = dict(files)
    if list_again:
        about = json.loads(files[form.PACK])
        listed = {name: content for name, content in files.items() if name not in (form.PACK, form.SIGNATURE)}
        about["files"] = {
            name: {"sha256": hashlib.sha256(listed[name]).hexdigest(), "size": len(listed[name])}
            for name in sorted(listed)
        }
        files[form.PACK] = form.to_json(about)
    with out.open("wb") as stream:
        write_archive(stream, files, {name: sums(content) for name, content in files.items()})
    return out


def use(file: Path) -> None:
    """Read all that is in a pack."""
    with Pack(file) as pack:
        for key in pack.manifests:
            assert pack.manifests[key]["key"] == key
        for name in pack.board, pack.failures, *(pack.environments[digest] for digest in pack.environments):
            assert isinstance(name, dict)
        keys = {name.split("/")[1].removesuffix(".json") for name in pack._files if "/" in name}
        for key in keys:
            pack.results(key), pack.features(key), pack.rounded(key)


def refused(file: Path) -> str:
    with pytest.raises(ReidbenchError) as caught:
        use(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pack_that_is_written_again_is_the_same(ran: Ran, files: Files, tmp_path: Path) -> None:
    assert packed(files, tmp_path / "x.zip").read_bytes() == ran.pack.read_bytes()
    use(tmp_path / "x.zip")


# ---------------------------------------------------------------------- names
@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/passwd", "C:/x", "results/../../x/notes.json", "results/a\\b/notes.json", "..\\x",
        "manifests/..json/x", "manifests/a b.json", "a.py", "results/k/evil.pkl", "results/k/", "manifests/",
        "results/k/sub/notes.json", "PACK.JSON", "features/k/query.npz", "manifests/.x.json", "x" * 5000, "a\0b",
        "environments/short.json", "manifests/" + "k" * 300 + ".json", "con", "manifests/k.json\n",
    ],
)  # fmt: skip
def test_names_that_no_pack_contains(files: Files, tmp_path: Path, name: str) -> None:
    assert "packs do not contain" in refused(packed({**files, name: b"{}"}, tmp_path / "x.zip")) or len(name) > 1000


def test_names_that_differ_in_case_only(files: Files, tmp_path: Path) -> None:
    name = next(name for name in files if name.startswith("rounded/") and name.lower() != name.upper())
    other = f"rounded/{name.removeprefix('rounded/').removesuffix('.json').upper()}.json"
    assert "differ only in case" in refused(packed({**files, other: files[name]}, tmp_path / "x.zip"))


@pytest.mark.parametrize("name", [form.PACK, form.BOARD, form.MATRIX])
def test_files_that_must_be_there(files: Files, tmp_path: Path, name: str) -> None:
    rest = {one: content for one, content in files.items() if one != name}
    assert "missing" in refused(packed(rest, tmp_path / "x.zip", list_again=name != form.PACK))


# ---------------------------------------------------------------------- the zip file itself
def zipped(files: Files, out: Path, change: Callable[[zipfile.ZipInfo], None]) -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            change(info)
            archive.writestr(info, files[name])
    return out


def deflated(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_DEFLATED


def linked(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o120777 << 16 if info.filename == form.MATRIX else info.external_attr


def dated(info: zipfile.ZipInfo) -> None:
    info.date_time = (2026, 1, 1, 0, 0, 0)


def with_extra(info: zipfile.ZipInfo) -> None:
    info.extra = struct.pack("<2H8s", 0x5455, 8, b"x" * 8)


def commented(info: zipfile.ZipInfo) -> None:
    info.comment = b"hello"


@pytest.mark.parametrize("change", [deflated, linked, dated, with_extra, commented])
def test_entries_of_another_form(files: Files, tmp_path: Path, change: Callable[[zipfile.ZipInfo], None]) -> None:
    refused(zipped(files, tmp_path / "x.zip", change))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(form.PACK, b" " * (64 << 20))
    assert "compressed" in refused(tmp_path / "x.zip")


def test_a_file_that_is_there_twice(files: Files, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in [*sorted(files), "rounded/zzz.json"]:
            archive.writestr(zipfile.ZipInfo(name), files.get(name, b"{}"))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(zipfile.ZipInfo("rounded/zzz.json"), b"{}")
    assert "appears twice" in refused(tmp_path / "x.zip")


def end_of(content: bytes) -> int:
    return len(content) - 22


def central_of(content: bytes) -> int:
    return int(struct.unpack("<I", content[end_of(content) + 16 : end_of(content) + 20])[0])


def patched(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda c: b"",
    "a text": lambda c: b"hello",
    "cut off": lambda c: c[:-1],
    "cut in half": lambda c: c[: len(c) // 2],
    "data before, as in a program that unpacks itself": lambda c: b"#!/bin/sh\n" + c,
    "data behind": lambda c: c + b"x",
    "data between": lambda c: c[: central_of(c)] + b"x" + c[central_of(c) :],
    "a comment": lambda c: patched(c, len(c) - 2, b"\x01\x00") + b"x",
    "a million entries": lambda c: patched(c, end_of(c) + 8, b"\xff\xff\xff\xff"),
    "fewer entries than there are": lambda c: patched(c, end_of(c) + 8, b"\x01\x00\x01\x00"),
    "no entries": lambda c: patched(c, end_of(c) + 8, bytes(8)),
    "two disks": lambda c: patched(c, end_of(c) + 4, b"\x01\x00"),
    "zip64": lambda c: patched(c, end_of(c) + 12, b"\xff" * 8),
    "encrypted": lambda c: patched(patched(c, central_of(c) + 8, b"\x01\x00"), 6, b"\x01\x00"),
    "a descriptor behind the data": lambda c: patched(patched(c, central_of(c) + 8, b"\x08\x00"), 6, b"\x08\x00"),
    "false size": lambda c: patched(c, central_of(c) + 24, b"\xff\xff\xff\x7f"),
    "both sizes false": lambda c: patched(c, central_of(c) + 20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f"),
    "smaller than it is": lambda c: patched(patched(c, central_of(c) + 20, bytes(8)), 18, bytes(8)),
    "two entries at one place": lambda c: patched(c, c.index(b"PK\x01\x02", central_of(c) + 4) + 42, bytes(4)),
    "a name in one list only": lambda c: patched(c, 30, b"boarD.json"),
    "another checksum": lambda c: patched(patched(c, central_of(c) + 16, b"abcd"), 14, b"abcd"),
    "a changed byte": lambda c: patched(c, 100, bytes([c[100] ^ 1])),
    "a mode that lets it be run": lambda c: patched(c, central_of(c) + 40, b"\xed\x81"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_zip_files_that_are_not_those_of_packs(ran: Ran, tmp_path: Path, what: str) -> None:
    (tmp_path / "x.zip").write_bytes(BROKEN[what](ran.pack.read_bytes()))
    assert "not a valid pack" in refused(tmp_path / "x.zip")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.zip").lower()
    assert refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused(tmp_path / "pipe")


# ---------------------------------------------------------------------- pack.json and other JSON
ABOUT: dict[str, Callable[[dict[str, object]], object]] = {
    "a list": lambda a: [a],
    "another format": lambda a: {**a, "format": 2},
    "no title": lambda a: {name: value for name, value in a.items() if name != "title"},
    "more than it must": lambda a: {**a, "more": 1},
    "no files": lambda a: {**a, "files": {}},
    "files in a list": lambda a: {**a, "files": []},
    "a file that is not there": lambda a: {**a, "files": {**a["files"], "x": {"sha256": "", "size": 0}}},  # type: ignore[dict-item]
    "no sizes": lambda a: {**a, "files": {key: {} for key in a["files"]}},  # type: ignore[call-overload]
    "no sums": lambda a: {**a, "files": {n: {"size": s["size"]} for n, s in a["files"].items()}},  # type: ignore[attr-defined]
    "itself": lambda a: {**a, "files": {**a["files"], form.PACK: {"sha256": "", "size": 1}}},  # type: ignore[dict-item]
}


@pytest.mark.parametrize("what", ABOUT)
def test_lists_that_are_not_those_of_packs(files: Files, tmp_path: Path, what: str) -> None:
    files[form.PACK] = form.to_json(ABOUT[what](json.loads(files[form.PACK])))
    refused(packed(files, tmp_path / "x.zip", list_again=False))


JSON = {
    "nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "nested deeply, by name": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "NaN": b'{\n "mAP": NaN\n}\n',
    "infinite": b'{\n "mAP": 1e999\n}\n',
    "a name twice": b'{\n "mAP": 1,\n "mAP": 2\n}\n',
    "half a character": b'{\n "\\ud800": 1\n}\n',
    "not UTF-8": b'{\n "\xff": 1\n}\n',
    "a huge number": b'{\n "mAP": ' + b"9" * 5000 + b"\n}\n",
    "something behind": b"{}\n{}\n",
    "nothing": b"",
    "a text": b'{\n "mAP": "1"\n}\n',
    "truth": b'{\n "mAP": true\n}\n',
}


@pytest.mark.parametrize("what", JSON)
@pytest.mark.parametrize("folder", ["rounded/", "manifests/", "environments/", form.BOARD, form.PACK])
def test_json_that_no_pack_contains(files: Files, tmp_path: Path, what: str, folder: str) -> None:
    files[next(name for name in files if name.startswith(folder))] = JSON[what]
    refused(packed(files, tmp_path / "x.zip", list_again=folder != form.PACK))


def changed_manifest(given: Files, /, **changes: object) -> str:
    """Change the manifest of an evaluation, with its checksum. Returns its key."""
    name = next(name for name in given if name.startswith("results/")).split("/")[1]
    file = f"manifests/{name}.json"
    given[file] = sealed({**json.loads(given[file]), **changes}).encode()
    return name


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "other"}, {"metrics": {"mAP": "x"}}, {"checked": "trusted"}, {"files": {"../x": {}}}, {"stage": 3},
        {"notes": "text"}, {"metrics": {"mAP": 1e300}}, {"files": {"notes.json": {"sha256": "0", "size": 1}}},
    ],
)  # fmt: skip
def test_manifests_that_no_stage_writes(files: Files, tmp_path: Path, changes: dict[str, object]) -> None:
    changed_manifest(files, **changes)
    refused(packed(files, tmp_path / "x.zip"))


def test_a_manifest_without_its_checksum(files: Files, tmp_path: Path) -> None:
    name = next(name for name in files if name.startswith("manifests/"))
    files[name] = files[name].replace(b'"settings"', b'"Settings"')
    assert "damaged" in refused(packed(files, tmp_path / "x.zip"))


def test_a_matrix_file_that_is_not_that_of_the_board(files: Files, tmp_path: Path) -> None:
    files[form.MATRIX] += b"# more\n"
    assert "differs from the text in the board" in refused(packed(files, tmp_path / "x.zip"))


def test_a_forged_number_with_its_checksum_made_again_is_self_reported(files: Files, tmp_path: Path) -> None:
    key = changed_manifest(files, metrics={"mAP": 0.999}, checked="re-trained", claimed={"mAP": 1.0})
    source = PackSource(Pack(packed(files, tmp_path / "x.zip")), trusted=False)
    store = Store(tmp_path / "store")
    merge([source], store)
    source.close()
    manifest = store.manifest(key).manifest
    assert (manifest["checked"], manifest["metrics"]) == ("self-reported", {"mAP": 0.999})
    assert "claimed" not in manifest


# ---------------------------------------------------------------------- arrays
class Evil:
    """Unpickling this would leave a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("evil"),)


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def saved(array: np.ndarray, **more: bool) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **more)  # type: ignore[arg-type]
    return stream.getvalue()


NPY = {
    "objects": saved(np.array([[Evil()]], dtype=object), allow_pickle=True),
    "a pickle": pickle.dumps(Evil()),
    "single precision": saved(np.zeros((2, 2), np.float32)),
    "one dimension": saved(np.zeros(4, np.float16)),
    "three dimensions": saved(np.zeros((1, 2, 2), np.float16)),
    "columns first": saved(np.asfortranarray(np.zeros((2, 3), np.float16))),
    "a huge shape": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (999999999, 999999999), }"),
    "a negative shape": npy("{'descr': '<f2', 'fortran_order': False, 'shape': (-1, -8), }", bytes(16)),
    "more bytes": saved(np.zeros((2, 2), np.float16)) + b"x",
    "infinite": saved(np.full((2, 2), np.inf, np.float16)),
    "no array": b"",
    "a header that is code": npy("__import__('os').system('touch evil')"),
}


@pytest.mark.parametrize("what", NPY)
def test_features_that_no_pack_contains(
    files: Files, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files[next(name for name in files if name.endswith("query.npy"))] = NPY[what]
    refused(packed(files, tmp_path / "x.zip"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_features_of_one_side_or_of_two_widths(files: Files, tmp_path: Path) -> None:
    query = next(name for name in files if name.endswith("query.npy"))
    narrower = {**files, query: form.to_npy(np.zeros((3, 2), np.float16))}
    assert "columns" in refused(packed(narrower, tmp_path / "x.zip"))
    del files[query]
    assert "only one of query and gallery" in refused(packed(files, tmp_path / "y.zip"))


def npz(compression: int = zipfile.ZIP_STORED, **arrays: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


NPZ = {
    "objects": npz(ap=NPY["objects"]),
    "a pickle": npz(ap=NPY["a pickle"]),
    "no zip": b"hello",
    "compressed": npz(zipfile.ZIP_DEFLATED, ap=saved(np.zeros(1 << 20))),
    "a huge shape": npz(ap=npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }")),
    "a strange name": npz(**{"../x": saved(np.zeros(2))}),
    "nested deeply": npz(ap=npy("(" * 100)),
    "dates": npz(ap=saved(np.zeros(2, "M8[s]"))),
}


@pytest.mark.parametrize("what", NPZ)
def test_results_of_queries_that_no_pack_contains(files: Files, tmp_path: Path, what: str) -> None:
    name = next(name for name in files if name.endswith("per_query.npz"))
    files[name] = NPZ[what]
    listed = json.loads(files[f"manifests/{name.split('/')[1]}.json"])["files"]
    said = {"sha256": hashlib.sha256(files[name]).hexdigest(), "size": len(files[name])}
    changed_manifest(files, files={**listed, "per_query.npz": said})
    assert "per_query.npz" in refused(packed(files, tmp_path / "x.zip"))


# ---------------------------------------------------------------------- sizes
def test_a_file_that_is_larger_than_its_limit(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(name for name in files if name.startswith("rounded/"))
    files[name] = b" " * ((form.limit_of(name) or 0) + 1)
    assert "the limit is" in refused(packed(files, tmp_path / "x.zip"))
    monkeypatch.setattr(form, "MOST_JSON", 1000)
    del files[name]
    assert "its manifests have" in refused(packed(files, tmp_path / "y.zip"))


def test_a_pack_that_changes_after_it_was_opened(ran: Ran, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(ran.pack.read_bytes())
    with Pack(file) as pack:
        place = file.read_bytes().index(b'"checksum"')
        with file.open("r+b") as stream:
            stream.seek(place)
            stream.write(b'"Checksum"')
        with pytest.raises(ReidbenchError, match="not a valid pack"):
            for key in pack.manifests:
                assert pack.manifests[key]
