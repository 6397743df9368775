"""Requirements of components that a task may not meet, checked from declarations before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reidbench.errors import DataError, PluginError
from reidbench.words import MORE_LABELS, TASK_NEEDS, complaint

from .benchmark import ALL_IMAGES, Choice, DataRef, DataSource, Recipe, Task
from .kinds import EMBEDDERS, Given, Kind

A_ROLE = {"pool": "a pool", "auxiliary": "auxiliary data", "source": "a source"}


class NotApplicable(Exception):
    """Raised when a method cannot run on a task, or its search has no winner; the message is printed in the table."""

    def __init__(self, reason: str, status: str = "not-applicable") -> None:
        super().__init__(reason)
        self.status = status


def refuse_open(parts: Sequence[Recipe], task: str) -> None:
    """Raise NotApplicable if the search of a row, or of a member of an ensemble, has no winner on a task."""
    for part in parts:
        found = part.on(task)
        if found.reason:
            raise NotApplicable(found.reason, found.status)


class Needs:
    """Compare requirements of components with tasks, networks and data; every check raises NotApplicable."""

    def __init__(self, data: Mapping[str, DataSource]) -> None:
        self.data = data
        self.unread: dict[str, str] = {}  # errors of unreadable data sets, by name
        self._lacks: dict[str, frozenset[str]] = {}
        self._met: dict[tuple[int, int, int, str], tuple[Choice, Choice, Task]] = {}  # steps already checked

    def lacks(self, name: str) -> frozenset[str]:
        """Return what a data set lacks, as declared by its component; nothing if the data set cannot be read.

        Raises PluginError for an unknown word.
        """
        if name not in self._lacks:
            source, words = self.data[name], frozenset[str]()
            try:
                words = source.choice.component.lacked(source.choice.params, source.root)
            except DataError as error:
                self.unread[name] = str(error)
            if wrong := complaint("lacks", words, "dataset"):
                raise PluginError(f"dataset {source.choice.name}: {wrong}")
            self._lacks[name] = words - {"test"} if source.held_out else words  # a part of train becomes its test part
        return self._lacks[name]

    def check_parts(self, role: str, refs: Sequence[DataRef], part: str, hidden: bool) -> None:
        """Check that the data sets of a role have the needed images and labels."""
        for ref in refs:
            lacks = self.lacks(ref.name)
            every = part == "train" and ref.images == ALL_IMAGES
            if part == "test" and "test" in lacks:
                raise NotApplicable(f"{ref.name} has no query and gallery: it can be a source or a pool, not a target")
            if part == "train" and "train" in lacks and not every:
                raise NotApplicable(f"{ref.name} has no train images, which the {role} needs")
            if not hidden and "labels" in lacks:
                raise NotApplicable(f"{ref.name} has no labels: it can be a pool, not the {role}")
            if hidden and every:
                raise NotApplicable(
                    f"`images: {ALL_IMAGES}` of {ref.name} is for training with labels, but a step here gets "
                    "its images without labels"
                )

    def check_step(self, kind: Kind, choice: Choice, backbone: Choice, task: Task, before: str = "") -> None:
        """Check the requirements of a step on its task, its backbone and the kind of the step before it."""
        given = id(choice), id(backbone), id(task), before
        if given in self._met:  # for another seed
            return
        self.check_given(kind.given, choice, task)
        self._check_adapter(choice, task, before)
        role = kind.learns_from
        self.check_data(choice, role, task.refs(role), task.adapt_on if role == "target" else "train")
        self.check_backbone(choice, backbone)
        self._met[given] = choice, backbone, task  # stay referenced, so their ids are not reused

    def check_given(self, images: Sequence[Given], choice: Choice, task: Task) -> None:
        """Check that a task names the images that a component needs."""
        for one in images:
            there = one.optional or task.refs(one.role)
            if not there and one.goes_to(choice.component, choice.params):
                raise NotApplicable(f"{choice.name} needs {A_ROLE[one.role]}, and the task has none")

    def _check_adapter(self, choice: Choice, task: Task, before: str) -> None:
        required = choice.component.required(choice.params)
        if "source" in required and not task.source:
            raise NotApplicable(f"{choice.name} needs a source, and the task has none")
        if "start" in required and before not in EMBEDDERS:
            raise NotApplicable(
                f"{choice.name} starts from a trained embedder: add `finetune:` or another adapter before it"
            )

    def check_backbone(self, choice: Choice, backbone: Choice) -> None:
        """Check that a backbone provides everything that a component requires."""
        wanted = choice.component.required(choice.params) - TASK_NEEDS
        missing = wanted - backbone.component.capabilities_with(backbone.params)
        if missing:
            raise NotApplicable(
                f"{choice.name} needs {', '.join(sorted(missing))}, which {backbone.name} does not provide"
            )

    def check_data(self, choice: Choice, role: str, refs: Sequence[DataRef], part: str) -> None:
        """Check that the data of a role have the truth, cameras and labels that a component requires.

        `part` is the part of the data that it receives, "train" or "test".
        """
        required = choice.component.required(choice.params)
        if "truth" in required:
            self._check_truth(choice.name, role, refs)
        if "cameras" in required and refs and all("cameras" in self.lacks(ref.name) for ref in refs):
            names = " and ".join(ref.name for ref in refs)
            raise NotApplicable(f"{choice.name} needs two or more cameras, which {names} does not have")
        for word in sorted(required & MORE_LABELS):
            if missing := [name for ref in refs if (name := self._unlabelled(ref, word, part))]:
                label = word.removesuffix("s") if word != "clothes" else word
                raise NotApplicable(
                    f"{choice.called} needs {label} labels, which {' and '.join(missing)} does not have: see its reader"
                )

    def unfit_evaluator(self, choice: Choice, task: Task) -> str:
        """Return the reason why an evaluator cannot score a task's query and gallery; "" if it can."""
        try:
            self.check_data(choice, "target", (task.tested,), "test")
        except NotApplicable as error:
            return str(error)
        return ""

    def _unlabelled(self, ref: DataRef, word: str, part: str) -> str:
        """Return the name of a data set whose part lacks labels beyond identity; "" if it has them."""
        source, lacks = self.data[ref.name], self.lacks(ref.name)
        if word in lacks or word not in source.choice.component.capabilities_with(source.choice.params):
            return ref.name
        part = "train" if source.held_out else part  # its test part comes from train too
        every = ALL_IMAGES in (ref.images, source.held_out.get("images"))
        if every or f"{word} in {part}" not in lacks:
            return ""
        return f"{ref.name} (in {'query or gallery' if part == 'test' else part})"

    def _check_truth(self, name: str, role: str, refs: Sequence[DataRef]) -> None:
        if len(refs) > 1:
            raise NotApplicable(f"{name} needs the truth about one data set, and the {role} has {len(refs)}")
        for ref in refs:
            source = self.data[ref.name].choice
            if "truth" not in source.component.capabilities_with(source.params):
                raise NotApplicable(f"{name} needs the truth about its images, which {ref.name} does not have")
