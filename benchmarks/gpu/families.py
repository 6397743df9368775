"""Families of trainings to check: a short training of each on small networks, and its published step.

`SMALL` are methods at 64x32 on tiny rendered data, without dropout, whose logged losses are compared between devices.
Adapters start from an untrained network, so that the first clustering is the same on both. `FULL` has the networks,
image sizes and batches of the papers, for timing some steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Method = dict[str, Any]
Size = tuple[int, int]
IDENTITIES = {"epochs": 2, "identities": 6, "images": 4}
DEFAULT = {"32-true": 5e-3, "bf16-mixed": 4e-2}
# The generator's steps start at small numbers that Adam enlarges; a clustering may also differ by one image.
WIDE = {"32-true": 3e-2, "bf16-mixed": 1.2e-1}
PERSON, TALL = (256, 128), (384, 128)
RESNET, VIT = {"use": "resnet50"}, {"use": "vit-small"}


@dataclass(frozen=True)
class Step:
    """A training, its image size, and the number of images in a batch.

    `calls` updates of an optimiser take `batches` batches: a critic and a generator step at different times.
    """

    method: Method
    images: int
    size: Size
    calls: int = 1
    batches: int = 1
    about: str = ""  # the batch in words, if its images differ in kind

    @property
    def described(self) -> str:
        """Network, batch and size in words."""
        height, width = self.size
        return f"{self.method['backbone']['use']}, {self.about or self.images}, {height}x{width}"


@dataclass(frozen=True)
class Family:
    """A training by the name of its component, and the tolerance of its losses relative to the CPU's.

    `tolerance` is the maximum relative difference of the logged `losses` for each precision.
    """

    name: str
    small: Step
    full: Step
    losses: tuple[str, ...] = ("loss",)
    tolerance: dict[str, float] | None = None

    def allowed(self, precision: str) -> float:
        """The tolerance at a precision."""
        return (self.tolerance or DEFAULT)[precision]


def _identities(use: str, full: Step, **small: Any) -> Family:
    """A fine-tuner with batches of identities."""
    return Family(use, _small({"finetune": {"use": use, **IDENTITIES, **small}}, 24), full)


def _small(method: Method, images: int, backbone: Method | None = None, calls: int = 1, batches: int = 1) -> Step:
    network = backbone or {"use": "resnet-tiny", "width": 8}
    return Step({**method, "backbone": network}, images, (64, 32), calls, batches)


def _pretrain(use: str, **params: Any) -> Method:
    return {"pretrain": {"use": use, **params}, "finetune": "none"}


def _adapt(use: str, **params: Any) -> Method:
    return {"finetune": "none", "adapt": {"use": use, **params}}


def _full(method: Method, images: int, size: Size = PERSON, backbone: Method = RESNET, **more: Any) -> Step:
    return Step({**method, "backbone": backbone}, images, size, **more)


CONTRAST = {"epochs": 2, "batch": 16, "splits": 2, "queue": 32, "dim": 16, "held_out": 0, "clean_batches": 0}
CLUSTERS = {"rounds": 1, "iterations": 2, "identities": 4, "images": 4, "k1": 8, "k2": 3}
FEW = {"k1": 8, "k2": 3}  # neighbours: the target has 72 images
TINY_VIT = {"use": "vit-tiny"}
SMALL_GAN = {
    "use": "stargan", "steps": 8, "save_every": 4, "critic_steps": 2, "batch": 4,
    "channels": 4, "blocks": 1, "critic_channels": 4, "critic_layers": 4,
}  # fmt: skip
SMALL_HHL = {
    "epochs": 2, "id_batch": 16, "identities": 4, "images": 4, "target_images": 4,
    "width": 32, "embedding": 16, "dropout": 0, "probe": 0, "style": SMALL_GAN,
}  # fmt: skip
SMALL_GCL = {
    "epochs": 1, "iterations": 2, "warmup_epochs": 1, "warmup_iterations": 2, "batch": 8, "dim": 4, "mlp": 16,
    "dilations": [1, 2, 3], "critic_dim": 4, "critic_blocks": 1, "critic_scales": 2, "rho": 0.02, "probe": 8, **FEW,
}  # fmt: skip
SMALL_DINO = {
    "epochs": 2, "batch": 16, "out_dim": 64, "hidden_dim": 32, "bottleneck_dim": 16, "held_out": 0, "drop_path": 0,
    "warmup_epochs": 0, "local_crops": 2,
}  # fmt: skip
COPIES = {"use": "self-style", "copies": 6}  # as many fakes as Market-1501 has cameras, at no cost

FAMILIES = (
    _identities("bot", _full({"finetune": {"use": "bot"}}, 64)),
    _identities("bdb", _full({"finetune": {"use": "bdb"}}, 128, TALL), global_dim=16, drop_dim=16),
    _identities("mgn", _full({"finetune": {"use": "mgn"}}, 64, TALL), dim=16),
    Family(
        "moco-v2",
        _small(_pretrain("moco-v2", **CONTRAST), 16),
        _full(_pretrain("moco-v2", held_out=0), 256, about="two views of 256"),
    ),
    Family(
        "up-reid",
        _small(_pretrain("up-reid", **CONTRAST), 16),
        _full(_pretrain("up-reid", held_out=0), 800, about="two views of 800, patches and the plain images"),
    ),
    Family(
        "dino",
        _small(_pretrain("dino", **SMALL_DINO), 16, TINY_VIT),
        _full(_pretrain("dino", held_out=0), 512, backbone=VIT, about="two views and eight local ones of 512"),
    ),
    Family(
        "transreid",
        _small({"finetune": {"use": "transreid", "drop_path": 0, **IDENTITIES}}, 24, TINY_VIT),
        _full({"finetune": {"use": "transreid"}}, 64, backbone=VIT),
    ),
    Family(
        "spcl",
        _small(_adapt("spcl", **CLUSTERS), 32),
        _full(_adapt("spcl", **FEW), 128, about="64 of the source and 64 of the target"),
    ),
    Family(
        "cluster-contrast",
        _small(_adapt("cluster-contrast", **CLUSTERS), 16),
        _full(_adapt("cluster-contrast", **FEW), 256),
    ),
    Family(
        "arn",
        _small(_adapt("arn", epochs=2, iterations=2, identities=4, images=4, dropout=0), 32),
        _full(_adapt("arn"), 64, about="32 of the source and 32 of the target"),
    ),
    Family(
        "stargan",
        _small(_adapt("hhl", **SMALL_HHL), 4, calls=3, batches=2),
        _full(_adapt("hhl"), 16, calls=6, batches=5),
        losses=("critic_loss", "generator_loss"),
    ),
    Family(
        "hhl",
        _small(_adapt("hhl", **SMALL_HHL), 48),
        _full(_adapt("hhl", probe=0, style=COPIES), 304, about="192 of the source, 16 of the target with 6 fakes"),
    ),
    Family(
        "gcl",
        _small(_adapt("gcl", **SMALL_GCL), 8, calls=2),
        _full(_adapt("gcl"), 16, calls=2, about="the generator's first stage"),
        losses=("adv", "img", "cycle", "feat", "real-mate", "view-mate"),
        tolerance=WIDE,
    ),
)  # fmt: skip
