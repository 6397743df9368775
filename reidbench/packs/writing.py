"""Write a pack: the results and manifests of a plan's rows, redacted, as one deterministic zip file."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reidbench import __version__
from reidbench.errors import ReidbenchError
from reidbench.files.atomic import written_whole
from reidbench.files.names import shown
from reidbench.matrix.stage import Plan, Row
from reidbench.progressbar import Through, quietly
from reidbench.store.artifact import Artifact, BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.manifests import sealed

from . import entries as form
from .archive import Content, sums, write_archive
from .recorded import record
from .redaction import Redaction

PLACES = ("root", "root_from_given")  # fields of a manifest with paths of images
MOST_LISTED = 1_000  # files of a stage whose checksums are in its pack; a preparer may write a hundred thousand images
Sign = Callable[[str], bytes]  # digest -> signature


@dataclass(frozen=True)
class Written:
    """A written pack. `missing` are rows without a result, `left_out` sentences about skipped contents."""

    digest: str
    size: int
    rows: int
    missing: tuple[Row, ...]
    evaluations: int
    features: int
    left_out: tuple[str, ...]


@dataclass
class _Contents:
    """Files to write by name, and the reasons for skipped ones."""

    files: dict[str, Content] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    evaluations: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # unredacted manifests
    embeds: dict[str, str] = field(default_factory=dict)  # label by key


def write_pack(
    plan: Plan,
    store: Store,
    out: Path,
    arguments: Sequence[str] = (),
    *,
    features: bool = False,
    with_host: bool = False,
    sign: Sign | None = None,
    without: Collection[str] = (),
    through: Through = quietly,
) -> Written:
    """Write the results of a plan in a store to a file, replacing it.

    `arguments` are command-line arguments that changed the matrix file (`--set`, `seeds=[0]`). `features` adds the
    features behind each evaluation in half precision, and their metrics. `sign` signs the digest. Raises ReidbenchError
    if there are no results, or if the pack would contain a name of a user or host.
    """
    artifacts = dict(_artifacts(plan, store, through))
    hosts = {str(one.manifest["host"]) for one in artifacts.values() if one and one.manifest.get("host")}
    redaction = Redaction.of(plan, store, hosts, with_host=with_host)
    with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        contents = _Contents()
        board = redaction.value(record(_as_made(plan, artifacts), arguments))
        contents.files |= {form.BOARD: form.to_json(board), form.MATRIX: board["text"].encode()}
        for key, artifact in through("reading results", list(artifacts.items())):
            if artifact:
                _add(contents, key, artifact, store, redaction, with_host)
            else:
                contents.left_out.append(f"{plan.stages[key].label}: its artifact is damaged or cannot be read")
        if not contents.evaluations:
            raise ReidbenchError(
                f"{store.root} has none of the plan's {len(plan.rows)} results: run the matrix file first"
            )
        _add_failures(contents, plan, store, redaction)
        if features:
            _add_features(contents, store, Path(folder), without, through)
        _check(contents, redaction, board)
        digest = _write(contents, out, board["title"], sign)
    missing = tuple(row for row in plan.rows if row.key not in contents.evaluations)
    counts = len(contents.evaluations), sum(name.startswith("rounded/") for name in contents.files)
    return Written(digest, out.stat().st_size, len(plan.rows), missing, *counts, tuple(contents.left_out))


def _artifacts(plan: Plan, store: Store, through: Through) -> Iterator[tuple[str, Artifact | None]]:
    """Yield the existing manifests of the plan's stages; None for damaged ones."""
    for key in through("reading manifests", list(plan.stages)):
        try:
            yield key, store.manifest(key)
        except KeyError:
            continue
        except BadArtifact:
            yield key, None


def _as_made(plan: Plan, artifacts: Mapping[str, Artifact | None]) -> Plan:
    """Return the plan with the parameters in the manifests of its stages.

    A component may have gained parameters since the stage ran. Their neutral values are not part of the key, but a
    manifest without them would seem to contradict the board.
    """
    stages = dict(plan.stages)
    for key, artifact in artifacts.items():
        made, stage = artifact.manifest.get("stage", {}) if artifact else {}, plan.stages[key]
        names = [name for name in ("params", "backbone") if _has_more(getattr(stage, name), made.get(name))]
        if names:
            stages[key] = replace(stage, **{name: made[name] for name in names})
    return replace(plan, stages=stages)


def _has_more(now: Any, before: Any) -> bool:
    """Return whether a value equals an earlier one, except for additional names in its mappings."""
    if isinstance(now, dict) and isinstance(before, dict):
        return before.keys() <= now.keys() and all(_has_more(now[name], value) for name, value in before.items())
    return bool(json.loads(json.dumps(now)) == before)


# ---------------------------------------------------------------------- manifests and results
def _add(
    contents: _Contents, key: str, artifact: Artifact, store: Store, redaction: Redaction, with_host: bool
) -> None:
    manifest = redacted_manifest(artifact.manifest, redaction, with_host)
    try:
        if manifest["stage"]["kind"] == "evaluate":
            _add_results(contents, manifest, artifact, store, redaction)
            contents.evaluations[key] = artifact.manifest
        elif len(manifest["files"]) > MOST_LISTED:  # as of a record: the pack has none of these files
            many = f"the checksums of its {len(manifest['files'])} files"
            contents.left_out.append(f"{redaction.text(artifact.label)}: {many}")
            manifest["files"] = {}
        if manifest["stage"]["kind"] == "embed":
            contents.embeds[key] = artifact.label
        json.dumps(manifest, allow_nan=False)
        contents.files[f"manifests/{key}.json"] = sealed(manifest).encode()
    except (KeyError, BadArtifact, OSError, ValueError):
        contents.left_out.append(f"{redaction.text(artifact.label)}: its artifact is damaged or missing")
        contents.evaluations.pop(key, None)
        return
    digest = manifest.get("environment", "")
    packages = store.environment(digest)
    if packages is not None:
        contents.files[f"environments/{digest}.json"] = form.to_json(dict(sorted(packages.items())))


def redacted_manifest(manifest: Mapping[str, Any], redaction: Redaction, with_host: bool) -> dict[str, Any]:
    """Return a manifest without paths and, unless requested, without the host; its checksum must be recomputed."""
    kept = {name: value for name, value in manifest.items() if name not in ("checksum", "files")}
    if not with_host:
        kept.pop("host", None)
    found: dict[str, Any] = redaction.value(kept)
    found["files"] = dict(manifest["files"])
    found |= dict.fromkeys((name for name in PLACES if name in found), None)
    stage = found["stage"] = dict(found.get("stage", {}))
    if stage.get("root") is not None:
        stage["root"] = None
    given = manifest.get("stage", {}).get("files", {})
    if given:
        stage["files"] = {part: redaction.text(Path(file).name) for part, file in given.items()}
    return found


def _add_results(
    contents: _Contents, manifest: dict[str, Any], artifact: Artifact, store: Store, redaction: Redaction
) -> None:
    """Add the files of an evaluation; notes are redacted, and the manifest gets their checksums."""
    key = artifact.key
    if not store.has(key):  # a record: a manifest without files
        manifest["files"] = {}
        return
    whole = store.read(key)
    more = sorted(set(manifest["files"]) - set(form.RESULTS))
    if more:
        contents.left_out.append(f"{redaction.text(artifact.label)}: {len(more)} other files, such as {more[0]}")
    files = {name: (whole.path / name).read_bytes() for name in form.RESULTS if name in manifest["files"]}
    if "notes.json" in files:
        files["notes.json"] = _redacted_notes(files["notes.json"], redaction)
    if "per_query.npz" in files and (wrong := form.npz_fault(files["per_query.npz"])):
        contents.left_out.append(f"{redaction.text(artifact.label)}: its per-query results: {wrong}")
        del files["per_query.npz"]
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} for name, content in files.items()
    }
    contents.files |= {f"results/{key}/{name}": content for name, content in files.items()}


def _redacted_notes(content: bytes, redaction: Redaction) -> bytes:
    notes = json.loads(content)
    redacted = redaction.value(notes)
    return content if redacted == notes else json.dumps(redacted, sort_keys=True).encode()


def _add_failures(contents: _Contents, plan: Plan, store: Store, redaction: Redaction) -> None:
    reasons = {key: reason for key in plan.stages if not store.has(key) and (reason := store.failure(key)) is not None}
    if reasons:
        contents.files[form.FAILURES] = form.to_json(redaction.value(dict(sorted(reasons.items()))))


# ---------------------------------------------------------------------- features
def _add_features(contents: _Contents, store: Store, folder: Path, without: Collection[str], through: Through) -> None:
    """Add the features behind each evaluation and their metrics, unless the evaluation of rounded features fails."""
    from .rescoring import evaluate_again, rounded_columns

    for number, (key, manifest) in enumerate(through("rounding features", list(contents.evaluations.items()))):
        parents = [parent for _, parent in manifest["stage"]["parents"]]
        try:
            columns = {parent: rounded_columns(dict(_columns(store, parent))) for parent in parents}
            again = evaluate_again(manifest, columns, without)
        except Exception as error:  # noqa: BLE001 - an evaluator may raise anything; skip its features
            reason = shown(str(error)) or type(error).__name__
            contents.left_out.append(f"features of {manifest['stage']['label']}: {reason}")
            continue
        contents.files[f"rounded/{key}.json"] = form.to_json(dict(sorted(again.means.items())))
        for parent, given in columns.items():
            for side in form.SIDES:
                name = f"features/{parent}/{side}.npy"
                if name not in contents.files:
                    file = folder / f"{number}-{parent}-{side}"
                    file.write_bytes(form.to_npy(given[f"{side}_features"].astype(np.float16)))
                    contents.files[name] = file


def _columns(store: Store, key: str) -> Mapping[str, np.ndarray]:
    try:
        artifact = store.read(key)
    except KeyError:
        raise ReidbenchError("not in the store") from None
    with np.load(artifact.path / "features.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


# ---------------------------------------------------------------------- the file
def _check(contents: _Contents, redaction: Redaction, board: Mapping[str, Any]) -> None:
    """Raise ReidbenchError if a name of a user or host would be included, or if a file exceeds its limit."""
    words = {one["name"] for one in board["components"]}
    texts = {name: content for name, content in contents.files.items() if isinstance(content, bytes)}
    packages = (json.loads(content) for name, content in texts.items() if name.startswith("environments/"))
    words |= {name for found in packages for name in found}
    for name, content in sorted(contents.files.items()):
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        limit = form.limit_of(name)
        if limit is None or size > limit:
            raise ReidbenchError(f"{name} has {size} bytes, and the limit of a pack is {limit or 0}")
        if name in texts and not name.startswith("environments/"):
            redaction.check(name, texts[name], frozenset(words))
    total = sum(len(content) for name, content in texts.items() if name.startswith(("manifests/", "environments/")))
    if total > form.MOST_JSON:
        raise ReidbenchError(f"the manifests have {total} bytes, and the limit is {form.MOST_JSON}: use --only")


def _write(contents: _Contents, out: Path, title: str, sign: Sign | None) -> str:
    known = {name: sums(content) for name, content in contents.files.items()}
    listed = {name: {"sha256": one.sha256, "size": one.size} for name, one in sorted(known.items())}
    about = form.to_json({"format": form.FORMAT, "reidbench": __version__, "title": title, "files": listed})
    digest = hashlib.sha256(about).hexdigest()
    files: dict[str, Content] = {**contents.files, form.PACK: about}
    if sign:
        files[form.SIGNATURE] = sign(digest)
    known |= {name: sums(files[name]) for name in files.keys() - known.keys()}
    try:
        with written_whole(out) as temporary, temporary.open("wb") as stream:
            write_archive(stream, files, known)
    except OSError as error:
        raise ReidbenchError(f"{out}: cannot be written: {error.strerror}") from None
    return digest
