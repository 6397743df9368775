"""Parameters of dino."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from reidbench import Params
from reidbench.training import params as shared
from reidbench.training.contrastive.params import IMAGENET_MEAN, IMAGENET_STD

Pair = tuple[float, float]
DROP_PATH = 0.1  # of the official scripts, for a backbone that was built without


class DinoParams(Params):
    """dino; the defaults are TransReID-SSL's, for 256x128, a pool of millions and batches of 512."""

    epochs: int = Field(100, ge=1, description="passes over the pool")
    batch: shared.PoolBatch = 512
    base_lr: float = Field(5e-4, gt=0, description="AdamW's highest rate for a batch of 256; used is x batch / 256")
    final_lr: float = Field(1e-6, ge=0, description="rate at the end of the cosine")
    warmup_epochs: int = Field(10, ge=0, description="epochs in which the rate climbs from 0, step by step")
    weight_decay: Pair = Field((0.04, 0.4), description="at the start and at the end, a cosine; vectors have none")
    clip: float = Field(3.0, ge=0, description="highest gradient norm of each tensor by itself; 0: no clipping")
    drop_path: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="student's rate in the last block, from 0 in the first; null: as the backbone was built, or 0.1 "
        "where it was built without",
    )

    out_dim: int = Field(65536, ge=2, description="K, outputs of the head; thousands or hundreds for small pools")
    hidden_dim: int = Field(2048, ge=1, description="width of the head's two hidden layers")
    bottleneck_dim: int = Field(256, ge=1, description="length of the unit vector before the last layer")
    norm_last_layer: bool = Field(True, description="keep the rows of the last layer unit vectors")
    freeze_last_layer: int = Field(1, ge=0, description="first epochs in which the last layer does not learn")

    momentum: float = Field(0.996, ge=0, le=1, description="share the teacher keeps at the first step, rising to 1")
    student_temperature: float = Field(0.1, gt=0, description="of the student's softmax")
    teacher_temperature: float = Field(0.04, gt=0, description="of the teacher's softmax, which sharpens it")
    warmup_teacher_temperature: float = Field(0.04, gt=0, description="where its warm-up starts")
    warmup_teacher_epochs: int = Field(0, ge=0, description="epochs of a linear warm-up of the teacher's temperature")
    centre_momentum: float = Field(0.9, ge=0, lt=1, description="share the centre keeps at a step")

    local_crops: int = Field(8, ge=0, description="views of half the height and width, beside the two whole ones")
    global_scale: Pair = Field((0.4, 1.0), description="share of the image that a whole view covers")
    local_scale: Pair = Field((0.05, 0.4), description="share of the image that a local view covers")
    crop_ratio: Literal["imagenet", "person"] = Field(
        "imagenet", description="width / height of crops: 3/4 to 4/3, which stretches persons, or that x the image's"
    )
    flip: shared.Flip = 0.5
    jitter: tuple[float, float, float, float] = Field(
        (0.4, 0.4, 0.2, 0.1), description="strength of brightness, contrast, saturation and hue"
    )
    jitter_probability: float = Field(0.8, ge=0, le=1, description="of colour jitter")
    grayscale: float = Field(0.2, ge=0, le=1, description="probability of losing all colour")
    blur: tuple[float, float, float] = Field(
        (1.0, 0.1, 0.5), description="probability of a Gaussian blur: first, second whole view, local views"
    )
    blur_sigma: Pair = Field((0.1, 2.0), description="its sigma, in pixels at an image height of 256")
    solarise: float = Field(0.2, ge=0, le=1, description="probability that the second whole view is solarised")
    mean: tuple[float, float, float] = Field(IMAGENET_MEAN, description="pixel mean, kept with the weights")
    std: tuple[float, float, float] = Field(IMAGENET_STD, description="pixel deviation, kept with the weights")

    collapse_grace: int = Field(
        10, ge=0, description="epochs that may be collapsed (teacher uniform, or one output for all) before that stops"
    )
    held_out: float = Field(0.05, ge=0, lt=1, description="share of the pool that only the monitor sees; 0: no monitor")
    monitor_every: int = Field(5, ge=1, description="epochs between two monitorings; the last one is always monitored")
    keep_state: bool = Field(False, description="also write student, teacher, heads and centre, in DINO's names")

    @model_validator(mode="after")
    def _possible(self) -> DinoParams:
        for name in ("warmup_epochs", "warmup_teacher_epochs"):
            if getattr(self, name) > self.epochs:
                raise ValueError(f"{name} {getattr(self, name)} is more than the {self.epochs} epochs")
        for name in ("global_scale", "local_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name} [{low}, {high}] must rise within 0 to 1")
        if not 0 <= self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError(f"blur_sigma {list(self.blur_sigma)} must rise from 0 or more")
        if min(self.blur) < 0 or max(self.blur) > 1:
            raise ValueError(f"blur {list(self.blur)} must be probabilities, 0 to 1")
        if min(self.weight_decay) < 0 or min(self.jitter) < 0 or max(self.jitter) > 1:
            raise ValueError("weight_decay must be 0 or more, and jitter 0 to 1")
        return self

    @property
    def peak_lr(self) -> float:
        """The rate at the end of the warm-up."""
        return self.base_lr * self.batch / 256
