"""What a component needs and a task may lack: known from declarations, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reidbench.errors import DataError, PluginError
from reidbench.words import MORE_LABELS, TASK_NEEDS, complaint

from .benchmark import ALL_IMAGES, Choice, DataRef, DataSource, Recipe, Task
from .kinds import EMBEDDERS, Given, Kind

A_ROLE = {"pool": "a pool", "auxiliary": "auxiliary data", "source": "a source"}


class NotApplicable(Exception):
    """A method cannot run on a task, or its search has no winner there; the reason is for the table."""

    def __init__(self, reason: str, status: str = "not-applicable") -> None:
        super().__init__(reason)
        self.status = status


def refuse_open(parts: Sequence[Recipe], task: str) -> None:
    """Raise NotApplicable where the search of a row, or of a part of an ensemble, has no winner on a task."""
    for part in parts:
        found = part.on(task)
        if found.reason:
            raise NotApplicable(found.reason, found.status)


class Needs:
    """Compares what components require with what tasks, networks and data offer; every check raises NotApplicable."""

    def __init__(self, data: Mapping[str, DataSource]) -> None:
        self.data = data
        self.unread: dict[str, str] = {}  # why the files of a data set cannot be read, by its name
        self._lacks: dict[str, frozenset[str]] = {}
        self._met: dict[tuple[int, int, int, str], tuple[Choice, Choice, Task]] = {}  # steps that were checked

    def lacks(self, name: str) -> frozenset[str]:
        """What a data set does not have, as far as its component can say; nothing for one that cannot be read.

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
            self._lacks[name] = words - {"test"} if source.held_out else words  # a part of train is its test
        return self._lacks[name]

    def check_parts(self, role: str, refs: Sequence[DataRef], part: str, hidden: bool) -> None:
        """Whether the data sets that are given for a role have such images, and labels."""
        for ref in refs:
            lacks = self.lacks(ref.name)
            every = part == "train" and ref.images == ALL_IMAGES
            if part == "test" and "test" in lacks:
                raise NotApplicable(f"{ref.name} has no query and gallery: it can be a source or a pool, not a target")
            if part == "train" and "train" in lacks and not every:
                raise NotApplicable(f"{ref.name} has no train images, which its use as {role} needs")
            if not hidden and "labels" in lacks:
                raise NotApplicable(f"{ref.name} has no labels: it can be a pool, not the {role}")
            if hidden and every:
                raise NotApplicable(
                    f"`images: {ALL_IMAGES}` of {ref.name} is for training with labels, and a step here is given its "
                    "images without"
                )

    def check_step(self, kind: Kind, choice: Choice, backbone: Choice, task: Task, before: str = "") -> None:
        """What a step needs of its task, its backbone and the step before, of kind `before`."""
        given = id(choice), id(backbone), id(task), before
        if given in self._met:  # by another seed
            return
        self.check_given(kind.given, choice, task)
        self._check_adapter(choice, task, before)
        role = kind.learns_from
        self.check_data(choice, role, task.refs(role), task.adapt_on if role == "target" else "train")
        self.check_backbone(choice, backbone)
        self._met[given] = choice, backbone, task  # kept, so that no other object gets the identity of one

    def check_given(self, images: Sequence[Given], choice: Choice, task: Task) -> None:
        """Whether a task names the images that a component is given."""
        for one in images:
            there = one.optional or task.refs(one.role)
            if not there and one.goes_to(choice.component, choice.params):
                raise NotApplicable(f"{choice.name} needs {A_ROLE[one.role]}, and the task names none")

    def _check_adapter(self, choice: Choice, task: Task, before: str) -> None:
        required = choice.component.required(choice.params)
        if "source" in required and not task.source:
            raise NotApplicable(f"{choice.name} needs a source, and the task names none")
        if "start" in required and before not in EMBEDDERS:
            raise NotApplicable(
                f"{choice.name} goes on from a trained embedder: name `finetune:` or another adapter before it"
            )

    def check_backbone(self, choice: Choice, backbone: Choice) -> None:
        """Whether a backbone provides what a component requires of it."""
        wanted = choice.component.required(choice.params) - TASK_NEEDS
        missing = wanted - backbone.component.capabilities_with(backbone.params)
        if missing:
            raise NotApplicable(
                f"{choice.name} needs {', '.join(sorted(missing))}, which {backbone.name} does not provide"
            )

    def check_data(self, choice: Choice, role: str, refs: Sequence[DataRef], part: str) -> None:
        """Whether the data of a role have the truth, cameras and labels that a component requires of them.

        `part` is the part of the data that it is given, "train" or "test".
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
        """Why an evaluator cannot judge features of a task's query and gallery; empty where it can."""
        try:
            self.check_data(choice, "target", (task.tested,), "test")
        except NotApplicable as error:
            return str(error)
        return ""

    def _unlabelled(self, ref: DataRef, word: str, part: str) -> str:
        """The name of a data set that does not have a label beyond identity in a part of it; empty where it has."""
        source, lacks = self.data[ref.name], self.lacks(ref.name)
        if word in lacks or word not in source.choice.component.capabilities_with(source.choice.params):
            return ref.name
        part = "train" if source.held_out else part  # whose test comes from train too
        every = ALL_IMAGES in (ref.images, source.held_out.get("images"))
        if every or f"{word} in {part}" not in lacks:
            return ""
        return f"{ref.name} (in {'query or gallery' if part == 'test' else part})"

    def _check_truth(self, name: str, role: str, refs: Sequence[DataRef]) -> None:
        if len(refs) > 1:
            raise NotApplicable(f"{name} needs the truth about one data set, and the {role} is {len(refs)}")
        for ref in refs:
            source = self.data[ref.name].choice
            if "truth" not in source.component.capabilities_with(source.params):
                raise NotApplicable(f"{name} needs the truth about its images, which {ref.name} does not know")
