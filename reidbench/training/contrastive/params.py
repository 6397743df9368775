"""Parameters of contrastive pretrainers, with the presets of MoCo v2 and LUPerson; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reidbench.components import AddedLater, Params
from reidbench.training import params as shared

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LUP_MEAN, LUP_STD = (0.3525, 0.3106, 0.3140), (0.2660, 0.2522, 0.2505)

# Values of MoCo v2's recipe (main_moco.py with its v2 options) that replace LUPerson's (aug_type 'ori-cj+sre', tau
# 0.1), which are the fields' defaults.
IMAGENET: Mapping[str, Any] = {
    "temperature": 0.2,
    "jitter_probability": 0.8,
    "erase": 0.0,
    "mean": IMAGENET_MEAN,
    "std": IMAGENET_STD,
}

# Names of tensors in weight files; see training/weights.
LayoutName = Literal["torchvision", "moco", "fast-reid", "torchreid", "bot", "bdb", "mgn", "spcl", "spcl-uda"]
Crop = Literal["imagenet-rrc", "person-rrc", "rect"]


def linear_lr(batch: int, base: float = 0.03, reference: int = 256) -> float:
    """Linear scaling rule: `base` per `reference` images of a batch; 0.3 at LUPerson's 2560."""
    return base * batch / reference


class ContrastiveParams(Params):
    """Momentum contrast: views, encoders, queue, optimiser, monitor. The preset fills missing values."""

    preset: Literal["imagenet", "lup"] = Field(
        "lup",
        description="recipe that fills missing augmentation, temperature and pixel statistics; set by each preset",
    )
    epochs: int = Field(200, ge=1, description="number of passes over the pool; each image gives two views")
    batch: shared.PoolBatch = 256
    lr: float | None = Field(None, gt=0, description="SGD's initial learning rate; default: 0.03 * batch / 256")
    momentum: shared.Momentum = 0.9
    weight_decay: shared.SgdDecay = 1e-4
    temperature: float = Field(
        0.1, gt=0, description="temperature of the global InfoNCE loss; presets: imagenet 0.2, lup 0.1"
    )
    queue: int = Field(
        65536, ge=1, description="number of keys in the queue; on small pools, less than the number of images"
    )
    key_momentum: float = Field(
        0.999, ge=0, le=1, description="momentum of the key encoder per step; 0.99 for runs of few steps"
    )
    dim: int = Field(128, ge=1, description="dimension of a projection")
    head: Literal["mlp", "linear"] = Field("mlp", description="projection head with two layers (MoCo v2) or one (MoCo)")
    head_norm: bool = Field(
        False, description="use batch norm before and within the head; required for short runs of small networks"
    )
    splits: int = Field(
        8, ge=1, description="parts of a batch with separate batch-norm statistics, for shuffle-BN on one device"
    )
    crop: Crop = Field(
        "imagenet-rrc", description="shape of the random crop; person-rrc and rect keep a person's shape"
    )
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.4, 0.1), description="strength of colour jitter: brightness, contrast, saturation and hue"
    )
    jitter_probability: float = Field(
        0.0, ge=0, le=1, description="probability of colour jitter; presets: imagenet 0.8, lup 0"
    )
    grayscale: float = Field(0.2, ge=0, le=1, description="probability of conversion to greyscale")
    blur: float = Field(0.5, ge=0, le=1, description="probability of a Gaussian blur")
    blur_sigma: tuple[float, float] = Field(
        (0.1, 2.0), description="range of the blur's sigma, in pixels at a height of 256"
    )
    flip: shared.Flip = 0.5
    erase: float = Field(0.5, ge=0, le=1, description="probability of random erasing; presets: imagenet 0, lup 0.5")
    erase_area: tuple[float, float] = Field((0.02, 0.6), description="range of the erased share of the image")
    erase_aspect: Annotated[Literal["uniform", "log"], AddedLater(before="log")] = Field(
        "uniform",
        description="distribution of an erased rectangle's height / width, 0.3 to 3.33: uniform, in up to 100 tries "
        "(LUPerson), or log-uniform, in up to 10 (torchvision)",
    )
    mean: tuple[float, float, float] = Field(LUP_MEAN, description="pixel mean, stored with the weights")
    std: tuple[float, float, float] = Field(LUP_STD, description="pixel standard deviation, stored with the weights")
    held_out: float = Field(0.05, ge=0, lt=1, description="share of the pool held out for the monitor; 0 disables it")
    monitor_every: int = Field(5, ge=1, description="epochs between monitor runs; the last epoch is always monitored")
    clean_batches: int = Field(
        50, ge=0, description="batches of unaugmented images for re-estimating batch norm at the end; 0 disables it"
    )
    keep_state: bool = Field(False, description="also write both encoders and the queues, named as in MoCo")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_the_preset(cls, given: Any) -> Any:
        return {**IMAGENET, **given} if isinstance(given, Mapping) and given.get("preset") == "imagenet" else given

    @model_validator(mode="after")
    def _enough_for_each_split(self) -> ContrastiveParams:
        if self.batch < 2 * self.splits:
            raise ValueError(f"batch {self.batch} in {self.splits} splits: batch norm requires two images per split")
        return self

    @property
    def start_lr(self) -> float:
        """Learning rate of the first epoch."""
        return self.lr if self.lr is not None else linear_lr(self.batch)
