from pydantic import Field

from reidbench import Component, Params, hookimpl


class PrefixOptions(Params):
    command: str = Field(description="words before the command of a stage, such as `nice` or `srun --gpus=1`")


@hookimpl
def reidbench_executors():
    yield Component("prefix", "reidbench_prefix.run:Prefix", PrefixOptions, summary="stages behind another command")
