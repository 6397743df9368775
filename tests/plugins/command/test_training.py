"""`extract` finds the output of `train`; an interrupted program resumes from its folder with `resumable`."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import BYTES, Bench, errors

# Counts its runs in its folder, and fails in the first, so it succeeds only if the folder is kept.
STEPS = """
import sys
from pathlib import Path
out = Path(sys.argv[1])
done = out / "steps"
count = len(done.read_text()) if done.exists() else 0
done.write_text("x" * (count + 1))
print("step", count + 1)
sys.exit(0 if count else 5)
"""


def trained(train: str, **more: Any) -> dict[str, Any]:
    command = {"use": "command", "extract": "python extract.py {images} {out} {model}", "lock": "extract.py"}
    return {"finetune": {**command, "train": train, **more}}


@pytest.mark.parametrize("resumable", [False, True])
def test_a_program_that_failed_finds_its_folder_again_only_if_it_is_resumable(resumable: bool, bench: Bench) -> None:
    bench.program("steps.py", STEPS)
    method = trained("python steps.py {out}", resumable=resumable)
    first = "train ended with exit code 5; its last line: step 1"
    assert first in errors(bench.run(m=method))["m"]
    board = bench.run(m=method)
    if not resumable:
        assert first in errors(board)["m"]
        return
    assert errors(board) == {}
    (folder,) = bench.artifacts("finetune")
    assert (folder / "model" / "steps").read_text() == "xx"
    assert not list((bench.store / "scratch").iterdir())


def test_what_a_training_must_leave(bench: Bench) -> None:
    bench.program("nothing.py", "")
    bench.program("link.py", "import os, sys; os.symlink('/etc/passwd', sys.argv[1] + '/passwd')")
    found = errors(bench.run(empty=trained("python nothing.py {out}"), link=trained("python link.py {out}")))
    assert "train succeeded but wrote no file into {out}" in found["empty"]
    assert "finetuner command left model/passwd" in found["link"]
    assert "link" in found["link"].partition("model/passwd")[2]


def test_a_program_that_writes_into_its_model_does_no_harm_to_the_store(bench: Bench) -> None:
    bench.program("one.py", "import sys; open(sys.argv[1] + '/w', 'w').write('one')")
    bench.program(
        "extract.py",
        BYTES + "    open(sys.argv[3] + '/w', 'a').write('two')\n    print(open(sys.argv[3] + '/w').read())\n",
    )
    assert errors(bench.run(m=trained("python one.py {out}"))) == {}
    assert "onetwo\n" in bench.log()
    (folder,) = bench.artifacts("finetune")
    assert (folder / "model" / "w").read_text() == "one"


def test_an_adapter_refuses_a_step_that_no_program_can_read(bench: Bench) -> None:
    bench.program("done.py", "import sys; open(sys.argv[1] + '/w', 'w')")
    step = trained("python done.py {out} {target}")["finetune"]
    after = {"finetune": "none", "adapt": step}
    assert "adapter command cannot continue from another step; remove that step" in errors(bench.run(m=after))["m"]


def test_mirror_images_are_refused(bench: Bench) -> None:
    method = {"finetune": {"use": "command", "extract": "python extract.py {images} {out}"}, "flip_test": True}
    assert "flip_test: CommandEmbedder has no features of mirror images; omit it" in errors(bench.run(m=method))["m"]


def test_words_follow_from_placeholders_and_declarations(bench: Bench) -> None:
    """As planned, without a run."""
    extract = "python extract.py {images} {out}"
    with_model = {"use": "command", "extract": f"{extract} {{model}}"}
    methods: dict[str, dict[str, Any]] = {
        "plain": {"finetune": {"use": "command", "extract": extract, "uses": "none"}},
        "undeclared": {"finetune": {"use": "command", "extract": extract}},
        "source": {"finetune": {**with_model, "train": "t {source} {out} {seed}", "uses": ["ImageNet labels"]}},
        "target": {"adapt": {**with_model, "train": "t {target} {out}", "uses": ["test-images"]}},
        "both": {
            "adapt": {
                **with_model, "train": "t {source} {target} {out} {cameras}", "uses": "none", "cameras": True,
            }
        },
    }  # fmt: skip
    rows = bench.rows(**methods)
    words = {row.method: row.protocol.removesuffix(", AP step") for row in rows}
    assert words == {
        "plain": "no labels",
        "undeclared": "unknown pre-training",
        "source": "source labels, ImageNet labels",
        "target": "target images, test-images",
        "both": "source labels, target images, cameras, target is a source",
    }
    seeds = {row.method: [one.seed for one in rows if one.method == row.method] for row in rows}
    assert seeds == {**{method: [None] for method in methods}, "source": [0, 1]}
