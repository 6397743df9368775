from pydantic import Field

from reidbench import Component, FileParam, Params, hookimpl


class TheirParams(Params):
    weights: FileParam = Field(description="their checkpoint: a state dict")


@hookimpl
def reidbench_finetuners():
    words = {"traits": {"label-free"}, "protocol": {"unknown pre-training"}}  # or what they learnt: "MSMT17 labels"
    yield Component("theirs", "reidbench_wrapped.model:load", TheirParams, summary="theirs", **words)
