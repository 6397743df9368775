"""`reidbench verify`: all checks of a pack, in order, and their findings."""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.execution.runner import Display
from reidbench.files.names import shown
from reidbench.matrix.stage import Plan
from reidbench.packs.merging import SELF_REPORTED
from reidbench.packs.reading import Pack
from reidbench.packs.recorded import recorded_plan
from reidbench.packs.rescoring import Evaluated
from reidbench.packs.signing import signer
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store

from .checked import publish_checked
from .findings import Findings, row_words
from .owndata import OwnData, roots_of
from .planned import check_keys, check_manifests, drawable, planned_again
from .rescored import Rescored, Rescorer
from .retrained import DRAW_BITS, drawn, retrain

RE_SCORED, RE_TRAINED = "re-scored", "re-trained"


@dataclass
class Verified:
    """The outcome of `verify`. `words` are by key of an evaluation; `draw` is the seed that selects rows to retrain."""

    pack: Pack
    plan: Plan
    findings: Findings
    words: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, Mapping[str, float]] = field(default_factory=dict)  # computed here, by key
    signed_by: str = ""
    draw: int | None = None
    published: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of rows with a result by level of verification."""
        return Counter(self.words[row.key] for row in self.plan.rows if row.key in self.words)

    def report(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return {
            "pack": self.pack.path.name,
            "digest": self.pack.digest,
            "title": self.pack.title,
            "signed_by": self.signed_by or None,
            "draw": self.draw,
            "mismatches": list(self.findings.mismatches),
            "notes": list(self.findings.notes),
            "rows": [
                {
                    "row": row_words(row),
                    "key": row.key,
                    "checked": self.words.get(row.key or ""),
                    "claimed": self.pack.manifests.get(row.key or "", {}).get("metrics"),
                    "computed": self.numbers.get(row.key or ""),
                }
                for row in self.plan.rows
            ],
        }


@dataclass(frozen=True)
class Asked:
    """Options of `verify`: `roots` by name of a data set; `draw` repeats an earlier draw."""

    roots: Mapping[str, Path] = field(default_factory=dict)
    retrain: int = 0
    draw: int | None = None
    signers: Path | None = None
    store: Path | None = None  # for rows that pass


def verify(pack: Pack, registry: Registry, asked: Asked, display: Display) -> Verified:
    """Check a pack with the verifier's own data. Raises ReidbenchError as `recorded_plan` and `roots_of`."""
    the_plan = recorded_plan(pack.board)
    findings = Findings()
    done = Verified(pack, the_plan, findings)
    roots = roots_of(pack, asked.roots)
    check_signature(pack, asked.signers, done)
    check_manifests(pack, the_plan, findings)
    check_keys(the_plan, registry, findings)
    again = planned_again(pack, roots, registry, findings)
    with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        own = OwnData(the_plan, pack, roots, Store(Path(folder) / "rescored"), registry)
        own.read(findings)
        passed = Rescorer(pack, own, findings).rescore()
        retrained: dict[str, Evaluated] = {}
        if asked.retrain:
            retrained = _retrain(done, again, asked, Path(folder) / "retrained", registry, display)
        good = _words(done, passed, retrained)
        if asked.store is not None:
            done.published, kept = publish_checked(pack, the_plan, good, Store(asked.store))
            for text in kept:
                findings.note(text)
    return done


def check_signature(pack: Pack, signers: Path | None, done: Verified) -> None:
    """Verify the signature of the pack, if a file of allowed signers is given."""
    signature = pack.signature()
    if signers is None:
        if signature is not None:
            done.findings.note("the signature was not checked: name a file of allowed signers with --signers")
        return
    if signature is None:
        done.findings.mismatch("the pack is not signed")
        return
    try:
        done.signed_by = signer(pack.digest, signature, signers)
    except ReidbenchError as error:
        if not signers.is_file() or "not installed" in str(error):
            raise
        done.findings.mismatch(str(error))


def _retrain(
    done: Verified, again: Plan | None, asked: Asked, folder: Path, registry: Registry, display: Display
) -> dict[str, Evaluated]:
    """Train a sample of rows again. Return the evaluations that pass, by key."""
    if again is None:
        done.findings.note("no result was retrained: the matrix file could not be planned here")
        return {}
    done.draw = secrets.randbits(DRAW_BITS) if asked.draw is None else asked.draw
    rows = [row for row in drawable(again, done.plan) if row.key in done.pack.manifests]
    chosen = drawn(rows, asked.retrain, done.draw)
    if len(chosen) < asked.retrain:
        done.findings.note(f"only {len(chosen)} of {asked.retrain} requested results can be retrained")
    if not chosen:
        return {}
    store, passed = retrain(chosen, again, done.pack, folder, registry, display, done.findings)
    return {one.key: _evaluated(store, one.key) for one in passed}


def _evaluated(store: Store, key: str) -> Evaluated:
    made = store.read(key)
    return Evaluated(made.manifest, {name: (made.path / name).read_bytes() for name in made.manifest["files"]})


def _words(
    done: Verified, passed: Mapping[str, Rescored], retrained: Mapping[str, Evaluated]
) -> dict[str, tuple[Evaluated, str]]:
    """Set the level of verification of each row, and return the verified evaluations with their levels.

    A retrained row has the numbers of that training.
    """
    good: dict[str, tuple[Evaluated, str]] = {}
    for key in {row.key for row in done.plan.rows if row.key in done.pack.manifests}:
        if key is None:
            continue
        done.words[key] = SELF_REPORTED
        if key in done.findings.wrong:
            continue
        if key in retrained:
            good[key] = retrained[key], RE_TRAINED
        elif key in passed:
            good[key] = passed[key].again, RE_SCORED
        if key in good:
            done.words[key] = good[key][1]
            done.numbers[key] = good[key][0].metrics
    return good


def root_given(text: str) -> tuple[str, Path]:
    """Return name and folder or file of `NAME=PATH`. Raises ReidbenchError."""
    name, equals, place = text.partition("=")
    if not (name and equals and place):
        raise ReidbenchError(
            f"--root {shown(text)}: expected NAME=PATH, the name of a data set and its folder or CSV file"
        )
    return name, Path(place)
