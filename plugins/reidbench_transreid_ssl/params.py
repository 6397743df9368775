"""Parameters of dino."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench import Params
from reidbench.training import params as shared
from reidbench.training.contrastive.params import IMAGENET_MEAN, IMAGENET_STD

Pair = tuple[float, float]
DROP_PATH = 0.1  # of the official scripts, for a backbone built without drop path


class DinoParams(Params):
    """Parameters of dino; defaults are TransReID-SSL's, for 256x128, a pool of millions and batches of 512."""

    epochs: int = Field(100, ge=1, description="number of epochs: passes over the pool")
    batch: shared.PoolBatch = 512
    base_lr: float = Field(
        5e-4, gt=0, description="AdamW's peak learning rate for a batch of 256; scaled by batch / 256"
    )
    final_lr: float = Field(1e-6, ge=0, description="learning rate at the end of the cosine")
    warmup_epochs: int = Field(
        10, ge=0, description="number of epochs in which the learning rate rises from 0, step by step"
    )
    weight_decay: Pair = Field(
        (0.04, 0.4), description="weight decay at the start and at the end of a cosine; vectors have none"
    )
    clip: float = Field(3.0, ge=0, description="largest gradient norm of each tensor; 0: no clipping")
    drop_path: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="drop path rate of the student's last block, rising from 0 in the first; null: as the "
        "backbone was built, or 0.1 if it was built without it",
    )

    out_dim: int = Field(65536, ge=2, description="output size of the head (K); for small pools hundreds or thousands")
    hidden_dim: int = Field(2048, ge=1, description="size of the head's two hidden layers")
    bottleneck_dim: int = Field(256, ge=1, description="length of the unit vector before the last layer")
    norm_last_layer: bool = Field(True, description="keep the rows of the last layer unit vectors")
    freeze_last_layer: int = Field(1, ge=0, description="number of initial epochs that do not train the last layer")

    momentum: float = Field(
        0.996, ge=0, le=1, description="initial share of its weights that the teacher keeps at a step, rising to 1"
    )
    student_temperature: float = Field(0.1, gt=0, description="temperature of the student's softmax")
    teacher_temperature: float = Field(
        0.04, gt=0, description="temperature of the teacher's softmax, which sharpens it"
    )
    warmup_teacher_temperature: float = Field(
        0.04, gt=0, description="initial value of the teacher's temperature in its warm-up"
    )
    warmup_teacher_epochs: int = Field(
        0, ge=0, description="number of epochs of a linear warm-up of the teacher's temperature"
    )
    centre_momentum: float = Field(0.9, ge=0, lt=1, description="share of the centre that a step keeps")

    local_crops: int = Field(
        8, ge=0, description="number of views with half the height and width, in addition to the two whole views"
    )
    global_scale: Pair = Field((0.4, 1.0), description="range of the share of the image that a whole view covers")
    local_scale: Pair = Field((0.05, 0.4), description="range of the share of the image that a local view covers")
    crop_ratio: Literal["imagenet", "person"] = Field(
        "imagenet",
        description="width / height of crops: 3/4 to 4/3, which distorts persons (imagenet), or that times "
        "the image's (person)",
    )
    flip: shared.Flip = 0.5
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.2, 0.1), description="strength of brightness, contrast, saturation and hue jitter"
    )
    jitter_probability: float = Field(0.8, ge=0, le=1, description="probability of colour jitter")
    grayscale: float = Field(0.2, ge=0, le=1, description="probability of converting a view to grey")
    blur: tuple[float, float, float] = Field(
        (1.0, 0.1, 0.5), description="probability of Gaussian blur: first whole view, second whole view, local views"
    )
    blur_sigma: Pair = Field((0.1, 2.0), description="range of the blur's sigma, in pixels at an image height of 256")
    solarise: float = Field(0.2, ge=0, le=1, description="probability of solarising the second whole view")
    mean: tuple[float, float, float] = Field(IMAGENET_MEAN, description="pixel mean, stored with the weights")
    std: tuple[float, float, float] = Field(
        IMAGENET_STD, description="pixel standard deviation, stored with the weights"
    )

    collapse_grace: int = Field(
        10,
        ge=0,
        description="number of consecutive collapsed epochs (teacher uniform, or one output for all images) "
        "before the run stops",
    )
    held_out: float = Field(0.05, ge=0, lt=1, description="share of the pool held out for the monitor; 0: no monitor")
    monitor_every: int = Field(
        5, ge=1, description="epochs between runs of the monitor; it always runs after the last epoch"
    )
    keep_state: bool = Field(False, description="also write student, teacher, heads and centre, in DINO's names")

    @model_validator(mode="after")
    def _possible(self) -> DinoParams:
        for name in ("warmup_epochs", "warmup_teacher_epochs"):
            if getattr(self, name) > self.epochs:
                raise ValueError(f"{name} {getattr(self, name)} exceeds epochs {self.epochs}")
        for name in ("global_scale", "local_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name} [{low}, {high}] must rise and be within 0 and 1")
        if not 0 <= self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError(f"blur_sigma {list(self.blur_sigma)} must rise and be at least 0")
        if min(self.blur) < 0 or max(self.blur) > 1:
            raise ValueError(f"blur {list(self.blur)} must be probabilities from 0 to 1")
        if min(self.weight_decay) < 0 or min(self.jitter) < 0 or max(self.jitter) > 1:
            raise ValueError("weight_decay must be at least 0, and jitter from 0 to 1")
        return self

    @property
    def peak_lr(self) -> float:
        """The learning rate at the end of the warm-up."""
        return self.base_lr * self.batch / 256
