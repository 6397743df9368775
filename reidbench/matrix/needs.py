"""What a component needs and a task may lack: known from declarations, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reidbench.errors import PluginError
from reidbench.words import complaint

from .benchmark import Choice, DataRef, DataSource

# The data whose truth and cameras a stage of that kind learns from: a field of the task.
ROLES = {"select": "pool", "pretrain": "pool", "finetune": "source", "adapt": "target"}


class NotApplicable(Exception):
    """A method cannot run on a task; the reason is for the table."""


class Needs:
    """Holds what components require against what the data sets of a benchmark offer and lack."""

    def __init__(self, data: Mapping[str, DataSource]) -> None:
        self.data = data
        self._lacks: dict[str, frozenset[str]] = {}

    def lacks(self, name: str) -> frozenset[str]:
        """What a data set does not have, as far as its component can say. Raises PluginError for an unknown word."""
        if name not in self._lacks:
            source = self.data[name]
            words = source.choice.component.lacked(source.choice.params, source.root)
            if wrong := complaint("lacks", words, "dataset"):
                raise PluginError(f"dataset {source.choice.name}: {wrong}")
            self._lacks[name] = words
        return self._lacks[name]

    def check_parts(self, role: str, refs: Sequence[DataRef], part: str, hidden: bool) -> None:
        """Raise NotApplicable where a data set is given for a role and has no such images, or no labels."""
        for ref in refs:
            lacks = self.lacks(ref.name)
            if part == "test" and "test" in lacks:
                raise NotApplicable(f"{ref.name} has no query and gallery: it can be a source or a pool, not a target")
            if part == "train" and "train" in lacks:
                raise NotApplicable(f"{ref.name} has no train images, which its use as {role} needs")
            if not hidden and "labels" in lacks:
                raise NotApplicable(f"{ref.name} has no labels: it can be a pool, not the {role}")

    def check(self, choice: Choice, role: str, refs: Sequence[DataRef]) -> None:
        """Raise NotApplicable where the data of a role do not know what a component requires of them."""
        required = choice.component.required(choice.params)
        if "truth" in required:
            self._check_truth(choice.name, role, refs)
        if "cameras" in required and refs and all("cameras" in self.lacks(ref.name) for ref in refs):
            names = " and ".join(ref.name for ref in refs)
            raise NotApplicable(f"{choice.name} needs two or more cameras, which {names} does not have")

    def _check_truth(self, name: str, role: str, refs: Sequence[DataRef]) -> None:
        if len(refs) > 1:
            raise NotApplicable(f"{name} needs the truth about one data set, and the {role} is {len(refs)}")
        for ref in refs:
            source = self.data[ref.name].choice
            if "truth" not in source.component.capabilities_with(source.params):
                raise NotApplicable(f"{name} needs the truth about its images, which {ref.name} does not know")
