"""Publish verified evaluations to a store: with the numbers computed here, and the pack's as `claimed`.

They take precedence over the pack's own results wherever the pack is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reidbench.files.filesystem import discard
from reidbench.matrix.stage import Plan
from reidbench.packs.merging import SELF_REPORTED, PackSource, StoreSource
from reidbench.packs.reading import Pack
from reidbench.packs.rescoring import Evaluated
from reidbench.stages.provenance import installed
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store
from reidbench.store.manifests import CHECKED, sealed

from .findings import behind


def publish_checked(
    pack: Pack, plan: Plan, passed: Mapping[str, tuple[Evaluated, str]], store: Store
) -> tuple[int, list[str]]:
    """Publish evaluations with their levels. Return their number, and sentences about existing ones that are kept.

    An existing evaluation with a lower level is replaced, any other is kept. The manifests of the stages behind them
    are stored as records. Raises StoreError.
    """
    store.prepare()
    count, kept = 0, []
    for key, (evaluated, word) in passed.items():
        if reason := _publish(pack, key, evaluated, word, store):
            kept.append(reason)
            continue
        count += 1
        for other in behind(plan, key):
            if other != key and other in pack.manifests and not store.has(other):
                store.keep_record(other, sealed({**pack.manifests[other], "checked": SELF_REPORTED}))
    PackSource(pack, trusted=False).beside(store)
    store.keep_environment(installed())
    return count, kept


def _publish(pack: Pack, key: str, evaluated: Evaluated, word: str, store: Store) -> str:
    """Publish one evaluation. Return the reason why not, or ""."""
    with store.claim(key) as mine:
        if not mine:
            return f"{evaluated.manifest['stage']['label']}: another process is computing it"
        if store.has(key):
            there = store.manifest(key)
            if _rank(there.manifest.get("checked")) >= _rank(word):
                said = there.manifest.get("checked", "from its own runs")
                return f"{there.label}: {store.root} already has it ({said}) and keeps it"
            discard(store.path(key))
        with store.publishing(key) as (folder, manifest):
            manifest |= _manifest(evaluated, word, pack.manifests[key])
            for name, content in evaluated.files.items():
                (folder / name).write_bytes(content)
    return ""


def _manifest(evaluated: Evaluated, word: str, claimed: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in evaluated.manifest.items() if name not in ("checksum", "files", "key")}
    return {**own, "checked": word, "claimed": dict(claimed.get("metrics", {}))}


def _rank(word: str | None) -> int:
    """Return the rank of a level; no level marks a store's own runs, the highest rank."""
    return CHECKED.index(word) if word in CHECKED else len(CHECKED)


class CheckedSource(StoreSource):
    """Evaluations of a pack that `publish_checked` stored: merge it before the pack."""

    def __init__(self, store: Store, pack: Pack) -> None:
        super().__init__(store)
        self.pack = pack

    def keys(self) -> Iterable[str]:
        there = self.store.keys()
        return [key for key in self.pack.manifests if key in there and self._checks(key)]

    def _checks(self, key: str) -> bool:
        """Return whether the store has a verified result whose claimed numbers are those of the pack."""
        try:
            there = self.store.manifest(key).manifest
        except BadArtifact:
            return False
        claimed = self.pack.manifests[key].get("metrics")
        return 0 < _rank(there.get("checked")) < len(CHECKED) and there.get("claimed") == claimed

    def records(self) -> Iterable[str]:
        return ()

    def beside(self, target: Store) -> int:
        for key in self.keys():
            packages = self.store.environment(str(self.manifest(key).get("environment")))
            if packages is not None:
                target.keep_environment(packages)
        return 0

    def failures(self) -> Iterable[tuple[str, str, bool]]:
        return ()
