"""Runs of one component: first run, rerun with disturbed generators, interruption and resume."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reidbench.components import Component
from reidbench.hookspecs import EXECUTOR, TRACKER
from reidbench.matrix.needs import NotApplicable
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
    """All runs of one component, under `folder`; `step` is called with the name of each step."""

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
        """Return the digests of the component's result. Raises Broken at the first violated contract."""
        if self.kind == TRACKER:
            raise NotApplicable("a tracker sends runs to another program: only its declaration is checked")
        if self.kind == EXECUTOR:
            raise NotApplicable("an executor runs whole matrices: only its declaration is checked")
        with empty_working_folder(self.folder / "empty"):
            if self.kind == "dataset":
                return self._dataset()
            if self.kind == "backbone":
                return self._backbone()
            return self._stage()

    # ------------------------------------------------------------------ methods and evaluators
    def _stage(self) -> dict[str, str]:
        self.step("running the stages that it needs")
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
            need(listing(self.folder / "data") == data, "files: changed files of the data set")
        self.step("a run on a task without what it does not require")
        self.notes += keep_promises(self.world, self.kind, self.component)
        return digests

    def _undeclared(self, digests: dict[str, str]) -> None:
        """Add a note on undeclared metrics of an evaluator."""
        given = json.loads(digests["metrics"]) if self.kind == "evaluator" else {}
        strange = [name for name in given if name not in self.component.declared]
        if strange:
            self.notes.append(f"not declared in `metrics`, so never ranked: {', '.join(strange)}")

    def _trial(self) -> Trial:
        return Trial(self.inputs, self.world.new_folder())

    def _again(self, digests: dict[str, str]) -> None:
        """Rerun with disturbed generators; if the result differs, rerun without, to find the cause."""
        differs = self._difference(digests, "all")
        if not differs:
            return
        plain = self._difference(digests, "")
        need(not plain, f"determinism: two runs with the same seed differ ({plain})")
        if self.drops and not self._difference(digests, "numpy"):
            self.notes.append("dropout draws from torch's global generator, which the checkpoint keeps")
            return
        need(
            False,
            "global state: the result depends on numpy's, Python's or, in an epoch, torch's global generator "
            f"({differs} differs); draw from reidbench.training.stream(ctx.seed, ...)",
        )

    def _difference(self, digests: dict[str, str], disturbed: str) -> str:
        """Return the first difference between another run and the first one, or ""."""
        self.step("another run with the same seed")
        trial = self._trial()
        trial.warm, trial.disturbed = True, disturbed
        return first_difference(digests, trial.watched())

    def _seedless(self, digests: dict[str, str], key: str) -> None:
        """Run a seedless component with another seed, from the same initial weights."""
        if SEEDLESS not in self.component.traits_with(self.world.params_of(self.kind, self.component)):
            return
        stage, expansion = self.world.plan(self.kind, self.component, with_weights=True)
        self.world.make_parents(stage, expansion)
        first = digests if stage.key == key else self._with_seed(stage, stage.seed, expansion)
        differs = first_difference(first, self._with_seed(stage, stage.seed + 1, expansion))
        need(not differs, f"determinism: declares 'seedless', but another seed gives another result ({differs})")

    def _with_seed(self, stage: Stage, seed: int, expansion: Expansion) -> dict[str, str]:
        """Return the digests of a run with a seed."""
        self.step(f"the run with seed {seed}")
        trial = Trial(self.world.inputs(replace(stage, seed=seed), expansion), self.world.new_folder())
        trial.warm = True
        return trial.watched()

    def _resumed(self, first: Trial, digests: dict[str, str]) -> None:
        """Interrupt after the first epoch, resume in the same scratch folder, and compare."""
        if first.checkpoint is None or not first.checkpoint.calls:
            return
        if max(map(len, first.checkpoint.calls)) < 2:
            self.notes.append("resume not checked: it ran one epoch")
            return
        self.step("the run that is interrupted after its first epoch")
        stopped = self._trial()
        stopped.stop = True
        try:
            stopped.watched()
        except Interrupted:
            pass
        else:
            need(False, "resume: continued after it was interrupted")
        self.step("the resumed run")
        resumed = self._trial()
        resumed.own_scratch = stopped.own_scratch
        found = resumed.watched()
        calls = resumed.checkpoint.calls if resumed.checkpoint else []
        went_on = any(ran and ran[0] > 0 for ran in calls)
        need(
            went_on,
            "resume: restarted from the first epoch; give state the same names in every run, and restore before use",
        )
        differs = first_difference(digests, found)
        need(not differs, f"resume: the result changes ({differs} differs); pass all state to ctx.checkpoint.epochs")

    # ------------------------------------------------------------------ data sets and networks
    def _dataset(self) -> dict[str, str]:
        params, root = self.component.params(**self.example.params), self.example.root
        known = kinds.fingerprint(self.component, params, root) if self.component.fingerprint else ""
        files = listing(root) if root else {}
        found: list[dict[str, str]] = []
        for number in range(2):
            self.step("opening it again" if number else "opening it")
            cache = self.folder / f"cache{number}"
            with _observed(number, [cache], ", outside its cache"):
                data = self.component.load()(params, root, cache)
            found.append(kinds.dataset(data))
        self.step("comparing it with what it declares")
        self.notes += keep_offer(self.component, params, root, data)
        need(found[0] == found[1], "determinism: opening it twice gives different data sets")
        if root:
            need(listing(root) == files, "files: changed files under its root")
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
        need(states[0] == states[1], "determinism: the same seed gives different networks")
        need(states[0] == states[-1], "determinism: declares 'seedless', but another seed gives another network")
        kinds.capabilities(network, self.component.capabilities_with(params))
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            save_backbone(Path(temporary), network)
            again: Any = saved_backbone(self.registry, Path(temporary))
        need(kinds.state_digest(again.state_dict()) == states[0], "shapes: its weights change when saved and loaded")
        return states[0]


@contextmanager
def _observed(number: int, allowed: Sequence[Path], where: str = "") -> Iterator[None]:
    """Check the block for stray files and changed settings; from the second run on with disturbed generators."""
    if number:
        disturb(torch_too=False)
    before = settings(bool(number))
    with written_files(allowed) as strays:
        yield
    alien = changed(before, settings(bool(number)))
    need(not alien, f"global state: changed {', '.join(alien[:3])} without restoring it")
    need(not strays, f"files: wrote {', '.join(strays[:3])}{where}")
