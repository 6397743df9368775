"""Choosing an epoch, and stopping, by held-out images: the expected epoch, and resuming a killed training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import nn

from reidbench import FinetuneContext
from reidbench.data import Dataset, MoreLabels, Split, hold_out
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.training import BackboneEmbedder, Embedder, Loop, Preprocess, epoch_choice, fit
from reidbench.training.params import EpochParams
from reidbench.training.supervised.epochs import EpochChoice
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_baseline.teachers import write_classifier
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from tests.support.contexts import check_resumes, make_context, same

pytestmark = pytest.mark.usefixtures("one_thread")
Pair = tuple[Split, Split]


class Colour(Embedder):
    """Features are weights times the mean colour of an image, at first the colour itself."""

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess((8, 4), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        return self.scale * images.mean((2, 3))


def pictures(folder: Path, *rows: tuple[int, int, tuple[int, int, int]]) -> Split:
    """Images of one colour each, of (pid, camera, colour)."""
    folder.mkdir()
    for number, (_, _, colour) in enumerate(rows):
        Image.new("RGB", (4, 8), colour).save(folder / f"{number}.png")
    names = [f"{number}.png" for number in range(len(rows))]
    return Split.of_columns(folder, names, [row[0] for row in rows], [row[1] for row in rows])


def by_hand(tmp_path: Path) -> Pair:
    """AP 7/12 and 1: person 1 is found second and third, the image of the query's camera aside, and person 2 first."""
    query = pictures(tmp_path / "query", (1, 0, (200, 0, 0)), (2, 0, (0, 200, 0)))
    gallery = pictures(
        tmp_path / "gallery",
        (1, 0, (200, 0, 0)),  # the query's camera: left out
        (3, 1, (200, 10, 0)),
        (1, 1, (200, 40, 0)),
        (1, 2, (200, 80, 0)),
        (2, 1, (0, 200, 10)),
    )
    return query, gallery


def choice_of(tmp_path: Path, validation: Sequence[Pair], **params: Any) -> tuple[EpochChoice, list[str]]:
    notes: list[str] = []
    ctx, _ = make_context(
        FinetuneContext, tmp_path / "out", EpochParams(**{"choose_epoch": "best", **params}), source=None,
        backbone=lambda: None, validation=validation, note=notes.append,
    )  # fmt: skip
    found = epoch_choice(ctx, Colour())
    assert found is not None
    return found, notes


def test_an_epoch_is_worth_the_mean_map_of_the_sources(tmp_path: Path) -> None:
    """(1/2 + 2/3) / 2 for person 1 and 1 for person 2 is 19/24; another source has 1."""
    first = by_hand(tmp_path)
    rows = [(1, 0, (200, 0, 0)), (2, 0, (0, 0, 200))]
    second = pictures(tmp_path / "q", *rows), pictures(tmp_path / "g", *[(pid, 1, colour) for pid, _, colour in rows])
    assert choice_of(tmp_path, [first])[0].measured() == pytest.approx(19 / 24)
    assert choice_of(tmp_path, [second])[0].measured() == 1
    assert choice_of(tmp_path, [first, second])[0].measured() == pytest.approx((19 / 24 + 1) / 2)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0])
def test_features_that_rank_nothing_are_worth_nothing(scale: float, tmp_path: Path) -> None:
    choice, _ = choice_of(tmp_path, [by_hand(tmp_path)])
    with torch.no_grad():
        choice.embedder.scale.fill_(scale)
    assert choice.measured() == 0


def test_equal_features_are_worth_nothing(tmp_path: Path) -> None:
    """Sorted galleries would make the order of equal distances worth something."""
    query, gallery = (
        pictures(tmp_path / name, *[(pid, camera, (9, 9, 9)) for pid in (1, 2)])
        for camera, name in enumerate(("query", "gallery"))
    )
    assert choice_of(tmp_path, [(query, gallery)])[0].measured() == 0


CASES = {  # values of epochs by number, parameters -> epochs that are run, looks, the scale that is kept
    "the best": ([0.1, 0.5, 0.3, 0.4], {}, 4, 4, 2),
    "the first of equal ones": ([0.5, 0.5, 0.5, 0.5], {}, 4, 4, 1),
    "the last where it is best": ([0.1, 0.2, 0.3, 0.4], {}, 4, 4, 4),
    "no gain for two epochs": ([0.3, 0.1, 0.2, 0.9], {"patience": 2}, 3, 3, 1),
    "a gain in time": ([0.3, 0.1, 0.4, 0.2], {"patience": 2}, 4, 4, 3),
    "stopped, and the last kept": ([0.3, 0.1, 0.2, 0.9], {"patience": 1, "choose_epoch": "last"}, 2, 2, 2),
    "every second, and the last": ([0.9, 0.2, 0.9, 0.4, 0.3], {"validate_every": 2}, 5, 3, 4),
    "seldom": ([0.1, 0.2, 0.3], {"validate_every": 7}, 3, 1, 3),
    "patience is counted in epochs": ([0.0, 0.5, 0.0, 0.4, 0.9, 0.9], {"validate_every": 2, "patience": 2}, 4, 2, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_which_epoch_is_kept(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch adds 1 to a scale that begins at 0, which identifies the epoch of the weights."""
    values, params, epochs, looks, kept = CASES[case]
    choice, notes = choice_of(tmp_path, [by_hand(tmp_path)], **params)
    embedder: Any = choice.embedder
    ctx, lines = make_context(FinetuneContext, tmp_path / "run", None, source=None, backbone=lambda: None)
    optimiser = torch.optim.SGD(embedder.parameters(), lr=1.0)
    loop = Loop(ctx, len(values), {"embedder": embedder}, {"optimiser": optimiser})
    with torch.no_grad():
        embedder.scale.zero_()
    monkeypatch.setattr(choice, "measured", lambda: values[round(embedder.scale[0].item()) - 1])
    batches = [(torch.zeros(1, 3, 8, 4), torch.tensor([0]))]

    def losses(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": vectors[0].sum()}

    fit(loop, batches, np.array([0]), lambda images, _: [-embedder.scale], losses, choice=choice)
    assert len(lines) == epochs
    assert sum("validation_mAP" in line for line in lines) == choice.looks == looks
    assert embedder.scale.tolist() == [kept] * 3
    (note,) = notes
    done = f"ran all {epochs} epochs" if epochs == len(values) else f"stopped after epoch {epochs} of {len(values)}"
    assert note.startswith(f"{done} and kept {'the last' if params.get('choose_epoch') else 'the best'}; the best was")


@pytest.mark.parametrize("params", [{"validate_every": 2}, {"choose_epoch": "last", "validate_every": 3}])
def test_an_option_that_nothing_reads_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="validate_every requires `choose_epoch: best` or `patience` above 0"):
        EpochParams(**params)


def test_without_images_to_choose_on_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"require validation images: add `validate: \{identities: 0\.2\}`"):
        choice_of(tmp_path, [])


# ---------------------------------------------------------------------- the fine-tuners
SMALL: dict[str, dict[str, Any]] = {
    "agw": {},
    "bot": {},
    "distill": {},
    "bdb": {"global_dim": 8, "drop_dim": 8},
    "mgn": {"dim": 8},
    "mgn-luperson": {"dim": 8, "extra_norm": False},
    "pcb": {"dim": 8, "batch": 8},
    "competition": {"branches": "mgn", "dim": 8},
    "transreid": {},
    "transreid-sie": {},
    "two-stream": {},
}


def test_all_fine_tuners_with_the_option_are_tried(registry: plugins.Registry) -> None:
    named = {name: registry.get("finetuner", name).params for name in registry.names("finetuner")}
    assert {name for name, params in named.items() if issubclass(params, EpochParams)} == SMALL.keys()


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Persons in noise, so that no network finds them all; the second camera is an infrared one."""
    folder, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    rows = [(pid, camera) for pid in range(1, 13) for camera in (0, 1) for _ in range(2)]
    names = [f"{number}.png" for number in range(len(rows))]
    for name, (pid, _) in zip(names, rows, strict=True):
        noise = generator.normal(100 + 5 * pid, 60, (64, 32, 3)).clip(0, 255)
        Image.fromarray(noise.astype(np.uint8)).save(folder / name)
    words = MoreLabels.of(modality=[("visible", "infrared")[camera] for _, camera in rows])
    train = Split.of_columns(folder, names, *zip(*rows, strict=True), more=words)
    return hold_out(Dataset("noise", folder, train), {"identities": 6, "seed": 0})


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_killed_and_resumed_is_uninterrupted(
    name: str, tmp_path: Path, held_out: Any, registry: plugins.Registry
) -> None:
    """And the training itself is that of a run that does not look: all but the measure is equal."""
    component = registry.get("finetuner", name)
    batch = {} if "batch" in SMALL[name] else {"identities": 4, "images": 2}
    sizes = {"epochs": 4, "lr": 0.01, **batch, **SMALL[name]}
    images: dict[str, Any] = {"source": held_out.train, "validation": ((held_out.query, held_out.gallery),)}

    def network() -> Any:
        torch.manual_seed(0)
        tokens = name.startswith("transreid")
        found = vit_tiny(ViTTinyParams(), (64, 32)) if tokens else resnet_tiny(TinyParams(width=4), (64, 32))
        found.spec = {}
        return found

    if name == "distill":
        write_classifier(tmp_path, nn.Linear(network().dim, held_out.train.num_pids, bias=False))
        images["network"] = lambda field: BackboneEmbedder(network(), Preprocess((64, 32)), neck=True)
        images["prepared"] = {"teacher": tmp_path}

    def made(out: Path, die_after: int, **params: Any) -> Any:
        chosen = component.params(**{**sizes, "choose_epoch": "best", **params})
        return make_context(
            FinetuneContext, out, chosen, die_after=die_after, image_size=(64, 32), backbone=network, **images
        )

    whole, lines = check_resumes(tmp_path, made, component.load(), 2)
    ctx, plain = made(tmp_path / "plain", 10**9, choose_epoch="last")
    torch.manual_seed(1)
    last = component.load()(ctx)
    values = [line.pop("validation_mAP") for line in lines]
    assert lines == plain
    best = values.index(max(values))
    assert same(whole, last) == (best == 3)
    assert len(set(values)) > 1
