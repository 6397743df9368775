"""Model card of an exported network: YAML front matter as the Hugging Face hub reads it, then Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from reidbench import __version__
from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.networkfolder import NetworkFolder
from reidbench.matrix.kinds import OF_STAGE
from reidbench.registry.plugins import Registry
from reidbench.store.artifact import Artifact

from .lineage import Lineage
from .scores import Score, Scores, Tested

LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")
TAGS = ("reidbench", "person-re-identification", "image-retrieval")
TASK = "image-feature-extraction"  # a pipeline tag of the hub
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


@dataclass(frozen=True)
class Facts:
    """Contents of a card."""

    network: NetworkFolder
    artifact: Artifact
    found: Lineage
    tested: Tested
    recipe: str
    left_out: tuple[str, ...]
    dim: int
    flip: bool = False  # whether the row averages the features of an image and its mirror image
    licence: str | None = None


def check_licence(licence: str | None) -> None:
    """Raise ReidbenchError for a licence that is not an identifier as the hub's."""
    if licence is not None and not LICENCE.fullmatch(licence):
        raise ReidbenchError(
            f"--license {shown(licence)}: not an identifier of the hub's list; use one such as apache-2.0, "
            "cc-by-nc-4.0 or other"
        )


def render(registry: Registry, facts: Facts) -> str:
    """Return the card."""
    front = yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True, width=1000)
    blocks = [block for part in _PARTS for block in part(registry, facts)]
    return f"---\n{front}---\n\n" + "\n\n".join(blocks) + "\n"


def _front(facts: Facts) -> dict[str, Any]:
    """Return the front matter: `license` only if it was given, and `model-index` only with metrics."""
    data = list(facts.found.named())
    results = [_result(one) for one in facts.tested.scores]
    front: dict[str, Any] = {"license": facts.licence} if facts.licence else {}
    front |= {"library_name": "reidbench", "pipeline_tag": TASK, "tags": [*TAGS]}
    front |= {"datasets": [_slug(name) for name in data]} if data else {}
    if results:
        names = (score.metric for one in facts.tested.scores for score in one.scores)
        front |= {"metrics": list(dict.fromkeys(names))}
        front |= {"model-index": [{"name": _name(facts), "results": results}]}
    return front


def _result(one: Scores) -> dict[str, Any]:
    args = {"args": {"protocol": one.protocol}} if one.protocol else {}
    return {
        "task": {"type": TASK, "name": "Person re-identification"},
        "dataset": {"type": _slug(one.component), "name": one.data, **args},
        "metrics": [_metric(one.evaluator, score) for score in one.scores],
    }


def _metric(evaluator: str, score: Score) -> dict[str, Any]:
    """Return a metric of the exported network or, over several seeds, their mean with its interval in the name."""
    value = score.value if score.mean is None else score.mean
    assert value is not None  # a score is of a network, or the mean over seeds
    over = f", mean of {score.n} seeds" if score.n > 1 else ""
    interval = f", 95% interval {score.interval}" if score.interval else ""
    return {"type": score.metric, "name": f"{score.title} by {evaluator}{over}{interval}", "value": score.scaled(value)}


def _name(facts: Facts) -> str:
    return " on ".join([facts.tested.method, *facts.tested.data])


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "data"


def plain(text: object) -> str:
    """Return text of files and plugins for Markdown, on one line and without markup."""
    return SPECIAL.sub(r"\\\1", " ".join(shown(str(text)).split()))


# ---------------------------------------------------------------------- parts of the text
def _heading(registry: Registry, facts: Facts) -> Iterator[str]:
    network, (height, width) = facts.network, facts.network.preprocess["size"]
    stage = facts.artifact.need("stage")
    kind, name = OF_STAGE[stage["kind"]].component, stage["use"]
    backbones = " and ".join(plain(one["use"]) for one in network.backbones.values())
    yield f"# {plain(_name(facts))}"
    yield (
        f"A network for re-identification, trained by the {kind} `{name}` of reidbench on the backbone {backbones}: "
        f"images of {height}x{width} pixels to features of length {facts.dim}."
    )
    licence = f"`{facts.licence}`" if facts.licence else "not stated; ask the authors before you use the weights"
    yield f"Licence of these weights: {licence}."


def _use(registry: Registry, facts: Facts) -> Iterator[str]:
    yield "## Use"
    yield "In a matrix file of reidbench, as it is, or as a start for training:"
    size = facts.network.preprocess["size"]
    filters = "".join(f", {name}: {value}" for name, value in _filters(facts.network.preprocess).items())
    setup = f"backbone: {{use: folder, path: path/to/this/folder}}, image_size: {list(size)}{filters}"
    flip = ", flip_test: true" if facts.flip else ""
    yield (f"```yaml\nmethods:\n  theirs: {{{setup}, finetune: none{flip}}}\n  tuned: {{{setup}, finetune: bot}}\n```")
    mean, std = (", ".join(f"{value:g}" for value in facts.network.preprocess[name]) for name in ("mean", "std"))
    yield (
        f"Input: RGB images, resized to {size[0]}x{size[1]}, as (value / 255 - mean) / std with mean {mean} and std "
        f"{std}. `config.json` has the class and its arguments, and `model.safetensors` the tensors."
    )


def _filters(pixels: Mapping[str, Any]) -> dict[str, str]:
    return {name: pixels[name] for name in ("resize", "resize_test") if name in pixels}


def _data(registry: Registry, facts: Facts) -> Iterator[str]:
    yield "## Training data"
    rows = []
    for name, artifact in facts.found.named().items():
        stage = artifact.need("stage")
        used = [given for one in facts.found.stages for given in one["data"] if given["data"] == name]
        roles = {f"{given['role']} {'without' if given['hidden'] else 'with'} labels": None for given in used}
        rows.append([name, stage["use"], ", ".join(roles), terms(registry, stage)])
    yield _table(["data set", "reader", "used as", "terms"], rows) if rows else "None: the network was not trained."
    words = facts.network.labels
    yield f"Labels behind the weights: {', '.join(map(plain, words)) if words else 'none'}."


def terms(registry: Registry, stage: Mapping[str, Any]) -> str:
    """Return a sentence on the terms of a data set, as far as reidbench knows them."""
    component = registry.components.get(("dataset", stage["use"]))
    if component is not None and not stage["root"]:
        return "rendered or drawn by its plugin, without photographs"
    unknown = "not known to reidbench; ask those who released the data"
    if component is None or component.paper is None or not component.paper.url:
        return unknown
    return f"{unknown} ({component.paper.title}, {component.paper.url})"


def _metrics(registry: Registry, facts: Facts) -> Iterator[str]:
    yield "## Metrics"
    if not facts.tested.scores:
        yield (
            "None: the network was exported by its key. `reidbench export --file FILE --row METHOD` adds the row's "
            "metrics over seeds."
        )
    for one in facts.tested.scores:
        several = any(score.n > 1 for score in one.scores)
        rows = [
            [score.title, score.shown(score.value)]
            + ([score.shown(score.mean), score.interval or "-", str(score.n)] if several else [])
            for score in one.scores
        ]
        columns = ["metric", "this network", *(["mean over seeds", "95 % interval", "seeds"] if several else [])]
        yield f"On {plain(one.data)}, by the evaluator {plain(one.evaluator)}:"
        yield _table(columns, rows)
        if one.protocol:
            yield f"Protocol: {plain(one.protocol)}."
    if facts.tested.notes:
        yield "\n".join(f"- {plain(note)}" for note in facts.tested.notes)


def _recipe(registry: Registry, facts: Facts) -> Iterator[str]:
    yield "## Recipe"
    yield "A matrix file that trains it; replace each `path/to/...` by your own copy of the data:"
    yield f"```yaml\n{facts.recipe}```"
    yield from facts.left_out


def _environment(registry: Registry, facts: Facts) -> Iterator[str]:
    manifest = facts.artifact.manifest
    settings = manifest.get("settings", {})
    versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
    where = f"processor {manifest.get('processor', 'unknown')}, {settings.get('precision')}"
    yield "## Environment"
    yield (
        f"Trained with {plain(versions)}; {plain(where)}, threads {settings.get('threads')}. Exported by reidbench "
        f"{__version__}; key of the training: `{facts.artifact.key}`. The last digits of a training depend on the "
        "processor."
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_PARTS = (_heading, _use, _data, _metrics, _recipe, _environment)
