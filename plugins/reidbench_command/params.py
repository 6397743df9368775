"""Parameters of a program, and what follows from the placeholders of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from reidbench import FileParam, FilesParam, InPlace, Params, Secret
from reidbench.words import BACKBONE_FREE, SEEDLESS, UNKNOWN, Declared

from .template import fault, placeholders

# What no program can have seen elsewhere: the harness gives it, the first for `cameras: true`, and the others never.
NOT_DECLARED = ("cameras", "truth", "auxiliary")


def _words(given: Any) -> Any:
    """`none` as an empty list, one word as a list of one."""
    if isinstance(given, str):
        return [] if given == "none" else [given]
    return given


class CommandParams(Params):
    """What fine-tuner and adapter have in common."""

    extract: str = Field(description="command that writes features of the pictures in {images} into the folder {out}")
    train: str | None = Field(None, description="command that leaves in the folder {out} what extract finds in {model}")
    folder: Annotated[Path, InPlace()] = Field(
        Path(), description="folder in which the commands run, seen from the matrix file, whose folder is the default"
    )
    files: FilesParam = Field((), description="files and folders of the program, whose content enters the key")
    lock: FileParam | None = Field(
        None, description="list of its environment's packages, such as requirements.txt; its content enters the key"
    )
    env: Annotated[dict[str, str], Secret()] = Field(
        {}, description="environment variables; hashes of their values enter the key, and the values are kept nowhere"
    )
    uses: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = Field(
        None,
        description="protocol words of what the program has seen elsewhere, such as 'ImageNet labels', or none; "
        "default: the row says 'unknown pre-training'",
    )
    layout: Literal["market", "csv"] = Field("market", description="how labels of {source} are written")
    cameras: bool = Field(False, description="whether a CSV file of camera numbers is given as {cameras}")
    shell: bool = Field(False, description="whether /bin/sh runs the commands, with its pipes and variables")
    resumable: Annotated[bool, Declared()] = Field(
        False, description="whether a program that was ended finds its own {out} again as it left it"
    )
    minutes: Annotated[float | None, Declared()] = Field(
        None, gt=0, description="longest time of one command in minutes; none: no limit"
    )
    memory_gb: Annotated[float | None, Declared()] = Field(
        None, gt=0, description="GiB of memory of a command and all that it starts; none: no limit"
    )

    @model_validator(mode="after")
    def _fit(self) -> Self:
        """Raise ValueError for commands that cannot be filled, and for what a row cannot say."""
        told = {"cameras"} if self.cameras else set()
        model = {"model"} if self.train else set()
        known = {"images", "out", "seed"} | model | told
        wrong = fault("extract", self.extract, known, {"images", "out"} | model)
        if not wrong and self.train is not None:
            wrong = self.train_fault(told)
        if not wrong and self.cameras and "cameras" not in self.asked:
            wrong = "cameras: true gives {cameras}, which no command asks for"
        wrong = wrong or self._declared_fault()
        if wrong:
            raise ValueError(wrong)
        return self

    def _declared_fault(self) -> str:
        taken = [word for word in self.uses or () if word in NOT_DECLARED]
        if taken:
            return f"uses cannot say {taken[0]!r}: a program is given no such thing, but for `cameras: true`"
        bad = [name for name, value in self.env.items() if not name or "=" in name or "\0" in name + value]
        return f"env: {bad[0]!r} is no variable" if bad else ""

    def train_fault(self, told: set[str]) -> str:
        """What is wrong with `train`, or nothing; `told` holds "cameras" where these are given."""
        raise NotImplementedError

    @property
    def asked(self) -> set[str]:
        """The placeholders of all commands."""
        return placeholders(self.extract) | placeholders(self.train or "")

    def traits(self) -> frozenset[str]:
        """A program that is given no seed runs once for all."""
        return frozenset({BACKBONE_FREE} | ({SEEDLESS} if "seed" not in self.asked else set()))

    def protocol(self) -> frozenset[str]:
        """What is given, and what is declared."""
        declared = {UNKNOWN} if self.uses is None else set(self.uses)
        return frozenset(declared | ({"cameras"} if self.cameras else set()))


class FinetuneParams(CommandParams):
    """Of the fine-tuner: `train` may have {source}, the labelled source."""

    def train_fault(self, told: set[str]) -> str:
        """What is wrong with `train`, or nothing."""
        assert self.train is not None
        if "target" in placeholders(self.train):
            return "train asks for {target}, which an adapter is given: write `adapt:` in place of `finetune:`"
        return fault("train", self.train, {"source", "out", "seed"}, {"out"})

    def traits(self) -> frozenset[str]:
        """Without {source} no label is given."""
        return super().traits() | ({"label-free"} if "source" not in self.asked else set())


class AdaptParams(CommandParams):
    """Of the adapter: `train` has {target}, the target's pictures, and may have {source}."""

    train: str = Field(description="command that leaves in the folder {out} what extract finds in {model}")

    def train_fault(self, told: set[str]) -> str:
        """What is wrong with `train`, or nothing."""
        return fault("train", self.train, {"source", "target", "out", "seed"} | told, {"target", "out"})

    def traits(self) -> frozenset[str]:
        """Without {source} no label is given."""
        return super().traits() | ({"source-free"} if "source" not in self.asked else set())

    def required(self) -> frozenset[str]:
        """With {source} the task must name one."""
        return frozenset({"source"} & self.asked)
