"""One component tried: run, run again beside disturbed generators, interrupted and resumed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reidbench.components import Component
from reidbench.matrix.plan import Expansion
from reidbench.matrix.stage import Stage
from reidbench.registry.plugins import Registry
from reidbench.stages.networks import build_backbone, saved_backbone
from reidbench.stages.worker import seed_torch
from reidbench.words import SEEDLESS

from . import kinds
from .examples import Example, uses
from .promises import keep_offer, keep_promises
from .report import need
from .trial import Interrupted, Trial, disturb, first_difference
from .watch import changed, empty_working_folder, listing, settings, written_files
from .world import SEED, World


@dataclass
class Attempt:
    """All trials of one component, under `folder`; `step` is called with what is tried next."""

    folder: Path
    registry: Registry
    kind: str
    component: Component
    example: Example
    step: Callable[[str], None]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        truth = "truth" in uses(self.component, self.example)
        self.world = World(self.folder, self.registry, self.example, truth)

    def run(self) -> dict[str, str]:
        """The digests of the component's result. Raises Broken at the first contract that it does not keep."""
        with empty_working_folder(self.folder / "empty"):
            if self.kind == "dataset":
                return self._dataset()
            if self.kind == "backbone":
                return self._backbone()
            return self._stage()

    # ------------------------------------------------------------------ methods and evaluators
    def _stage(self) -> dict[str, str]:
        self.step("making what it needs")
        stage, expansion = self.world.plan(self.kind, self.component)
        self.world.make_parents(stage, expansion)
        self.inputs = self.world.inputs(stage, expansion)
        data = listing(self.folder / "data") if (self.folder / "data").is_dir() else {}
        self.step("the first run")
        first = self._trial()
        digests = first.watched()
        kinds.answer(self.kind, first)
        self._undeclared(digests)
        self.drops = kinds.has_dropout(first)
        self._again(digests)
        self._resumed(first, digests)
        self._seedless(digests, stage.key)
        if data:
            need(listing(self.folder / "data") == data, "files: it changed files of the data set")
        self.step("a run on a task without what it does not require")
        self.notes += keep_promises(self.world, self.kind, self.component)
        return digests

    def _undeclared(self, digests: dict[str, str]) -> None:
        """Note the metrics of an evaluator that its component does not declare."""
        given = json.loads(digests["metrics"]) if self.kind == "evaluator" else {}
        strange = [name for name in given if name not in self.component.declared]
        if strange:
            self.notes.append(f"not declared in `metrics`, so never ranked: {', '.join(strange)}")

    def _trial(self) -> Trial:
        return Trial(self.inputs, self.world.new_folder())

    def _again(self, digests: dict[str, str]) -> None:
        """Run once more beside disturbed generators; where that differs, once more without, to tell which it is."""
        differs = self._difference(digests, "all")
        if not differs:
            return
        plain = self._difference(digests, "")
        need(not plain, f"determinism: the same seed twice gives two results ({plain} differs)")
        if self.drops and not self._difference(digests, "numpy"):
            self.notes.append("dropout draws from torch's global generator, which the checkpoint keeps")
            return
        need(
            False,
            "global state: the result depends on numpy's, Python's or, in an epoch, torch's global generator "
            f"({differs} differs); draw from reidbench.training.stream(ctx.seed, ...)",
        )

    def _difference(self, digests: dict[str, str], disturbed: str) -> str:
        """What differs in another run from the first one's result."""
        self.step("another run with the same seed")
        trial = self._trial()
        trial.warm, trial.disturbed = True, disturbed
        return first_difference(digests, trial.watched())

    def _seedless(self, digests: dict[str, str], key: str) -> None:
        """Where a component declares that its seed does not matter, try another one with the same weights to start."""
        if SEEDLESS not in self.component.traits_with(self.world.params_of(self.kind, self.component)):
            return
        stage, expansion = self.world.plan(self.kind, self.component, with_weights=True)
        self.world.make_parents(stage, expansion)
        first = digests if stage.key == key else self._with_seed(stage, stage.seed, expansion)
        differs = first_difference(first, self._with_seed(stage, stage.seed + 1, expansion))
        need(not differs, f"determinism: it declares 'seedless', and another seed gives another result ({differs})")

    def _with_seed(self, stage: Stage, seed: int, expansion: Expansion) -> dict[str, str]:
        """The digests of a run with that seed."""
        self.step(f"the run with the seed {seed}")
        trial = Trial(self.world.inputs(replace(stage, seed=seed), expansion), self.world.new_folder())
        trial.warm = True
        return trial.watched()

    def _resumed(self, first: Trial, digests: dict[str, str]) -> None:
        """Interrupt after the first epoch, go on in the same scratch folder, and compare."""
        if first.checkpoint is None or not first.checkpoint.calls:
            return
        if max(map(len, first.checkpoint.calls)) < 2:
            self.notes.append("resume not tried: it ran one epoch")
            return
        self.step("the run that is interrupted after its first epoch")
        stopped = self._trial()
        stopped.stop = True
        try:
            stopped.watched()
        except Interrupted:
            pass
        else:
            need(False, "resume: it went on when it was interrupted")
        self.step("the resumed run")
        resumed = self._trial()
        resumed.own_scratch = stopped.own_scratch
        found = resumed.watched()
        calls = resumed.checkpoint.calls if resumed.checkpoint else []
        went_on = any(ran and ran[0] > 0 for ran in calls)
        need(went_on, "resume: it began anew; its state must have the same names in every run, and restore before use")
        differs = first_difference(digests, found)
        need(not differs, f"resume: another result ({differs} differs); give all state to ctx.checkpoint.epochs")

    # ------------------------------------------------------------------ data sets and networks
    def _dataset(self) -> dict[str, str]:
        params, root = self.component.params(**self.example.params), self.example.root
        known = kinds.fingerprint(self.component, params, root) if self.component.fingerprint else ""
        files = listing(root) if root else {}
        found: list[dict[str, str]] = []
        for number in range(2):
            self.step("opening it again" if number else "opening it")
            cache = self.folder / f"cache{number}"
            with _observed(number, [cache], ", outside of its cache"):
                data = self.component.load()(params, root, cache)
            found.append(kinds.dataset(data))
        self.step("comparing it with what it declares")
        self.notes += keep_offer(self.component, params, root, data)
        need(found[0] == found[1], "determinism: opened twice it gives two sets")
        if root:
            need(listing(root) == files, "files: it changed files under its root")
        return {**found[0], "fingerprint": known if root is None else ""}

    def _backbone(self) -> dict[str, str]:
        from reidbench.training.weights.artifacts import save_backbone

        params = self.component.params(**self.example.params)
        described: dict[str, Any] = {"use": self.component.name, "params": params.model_dump(mode="json")}
        described["image_size"] = list(self.example.image_size)
        states: list[dict[str, str]] = []
        seedless = SEEDLESS in self.component.traits_with(params)
        for number in range(2 + seedless):
            self.step("building it again" if number else "building it")
            seed_torch(SEED + (number == 2))
            with _observed(number, []):
                network = build_backbone(self.registry, described)
                kinds.backbone(network, self.example.image_size)
            states.append(kinds.state_digest(network.state_dict()))
        need(states[0] == states[1], "determinism: the same seed twice gives two networks")
        need(states[0] == states[-1], "determinism: it declares 'seedless', and another seed gives another network")
        kinds.capabilities(network, self.component.capabilities_with(params))
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            save_backbone(Path(temporary), network)
            again: Any = saved_backbone(self.registry, Path(temporary))
        need(kinds.state_digest(again.state_dict()) == states[0], "shapes: its weights do not survive a file")
        return states[0]


@contextmanager
def _observed(number: int, allowed: Sequence[Path], where: str = "") -> Iterator[None]:
    """Hold what runs inside against its folders and settings; from the second run on beside disturbed generators."""
    if number:
        disturb(torch_too=False)
    before = settings(bool(number))
    with written_files(allowed) as strays:
        yield
    alien = changed(before, settings(bool(number)))
    need(not alien, f"global state: it changed {', '.join(alien[:3])} and did not change it back")
    need(not strays, f"files: it wrote {', '.join(strays[:3])}{where}")
