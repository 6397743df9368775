"""Winners that a board claims, without its trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.tuning.claims import as_claimed


def test_a_row_says_on_each_task_the_size_that_was_chosen_there(matrix: Callable[..., Path]) -> None:
    worlds = "{a: {use: synthetic, size: tiny}, b: {use: synthetic, size: tiny, seed: 1}}"
    searched = "{m: {finetune: bot, search: {finetune.image_size: [[32, 16], [48, 24]]}, select: source-val}}"
    file = matrix(
        data=worlds, tasks="{a: {source: a, target: a}, b: {source: b, target: b}}", validate="{identities: 0.3}",
        methods=searched,
    )  # fmt: skip
    chosen = {"a": [32, 16], "b": [48, 24]}
    claimed = {"m (tuned)": {task: {"values": {"finetune.image_size": size}} for task, size in chosen.items()}}
    plan = expand(as_claimed(reader.read(file, plugins.load()), claimed))
    rows = {row.task: row for row in plan.rows if row.method == "m (tuned)"}
    for task, (height, width) in chosen.items():
        row = rows[task]
        assert [word for word in row.protocol.split(", ") if word.startswith("tested at")] == [
            f"tested at {height}x{width}"
        ]
        assert plan.stages[row.key or ""].image_size == (height, width)
