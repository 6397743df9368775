"""Training settings of papers and official code. They include the image size; the matrix file names the networks."""

from __future__ import annotations

from typing import Any

from reidbench import Preset
from reidbench.training.contrastive.params import IMAGENET_MEAN, IMAGENET_STD, LUP_MEAN, LUP_STD

WHOLE, TALL, SQUARE = (256, 128), (384, 128), (224, 224)

# Official code trains on the whole pool and keeps batch norm as it is after the last step.
_PLAIN: dict[str, Any] = {"held_out": 0.0, "clean_batches": 0}
_MOCO: dict[str, Any] = {
    "epochs": 200, "momentum": 0.9, "weight_decay": 1e-4, "queue": 65536, "key_momentum": 0.999, "dim": 128,
    "head": "mlp", "head_norm": False, "splits": 8, "crop": "imagenet-rrc", "crop_from": "original",
    "grayscale": 0.2, "blur": 0.5, "flip": 0.5, **_PLAIN,
}  # fmt: skip
MOCO = {
    "imagenet": Preset(
        "main_moco.py of the official code with its options of v2: --mlp --moco-t 0.2 --aug-plus --cos",
        preset="imagenet",
        image_size=SQUARE,
        batch=256,
        temperature=0.2,
        jitter=(0.4, 0.4, 0.4, 0.1),
        jitter_probability=0.8,
        blur_sigma=(0.1 * 256 / 224, 2.0 * 256 / 224),  # pixels at a height of 256: 0.1 to 2 at 224
        erase=0.0,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        **_MOCO,
    ),
    "lup": Preset(
        "scripts/run_moco.sh of DengpanFu/LUPerson, augmentation ori-cj+sre",
        preset="lup",
        image_size=WHOLE,
        batch=2560,
        temperature=0.1,
        jitter_probability=0.0,
        blur_sigma=(0.1, 2.0),
        erase=0.5,
        erase_area=(0.02, 0.6),
        erase_aspect="uniform",
        mean=LUP_MEAN,
        std=LUP_STD,
        **_MOCO,
    ),
}

_BATCH: dict[str, Any] = {"identities": 16, "images": 4}
_BOT: dict[str, Any] = {
    "image_size": WHOLE, "resize": "bilinear", "epochs": 120, "lr": 3.5e-4, "weight_decay": 5e-4, "warmup": 10 / 120,
    "warmup_factor": 0.01, "milestones": (40 / 120, 70 / 120), "gamma": 0.1, "label_smoothing": 0.1, "flip": 0.5,
    "pad": 10, "erase": 0.5, **_BATCH,
}  # fmt: skip
BOT = {
    "paper": Preset(
        "row with centre loss of the paper's ablation; configs/softmax_triplet_with_center.yml of the official code",
        **_BOT,
        margin=0.3,
        triplet_weight=1.0,
        center_weight=5e-4,
        center_lr=0.5,
    ),
    "arcface": Preset(
        "the paper without centre loss; head of arcface_torch/losses.py of insightface: s 64, m 0.5",
        **_BOT,
        margin=0.3,
        triplet_weight=1.0,
        head="arcface",
        head_scale=64.0,
        head_margin=0.5,
    ),
    "cosface": Preset(
        "the paper without centre loss; head of projects/FastFace/configs/face_base.yml of fast-reid: s 64, m 0.4",
        **_BOT,
        margin=0.3,
        triplet_weight=1.0,
        head="cosface",
        head_scale=64.0,
        head_margin=0.4,
    ),
    "circle": Preset(
        "the paper without centre loss; head and soft margin of configs/Base-SBS.yml of fast-reid: s 64, m 0.35",
        **_BOT,
        margin=None,
        triplet_weight=1.0,
        head="circle",
        head_scale=64.0,
        head_margin=0.35,
    ),
    "circle-pairs": Preset(
        "the paper without centre loss; triplet loss replaced by CircleLoss of fast-reid's defaults: s 128, m 0.25",
        **_BOT,
        triplet_weight=0.0,
        circle_weight=1.0,
        circle_scale=128.0,
        circle_margin=0.25,
    ),
    "xbm": Preset(
        "the paper without centre loss; memory of config/defaults.py of the official code, which starts after 1,000 of "
        "35,000 iterations as in configs/sample_config.yaml: 8,192 images, weight 1, contrastive loss",
        **_BOT,
        margin=0.3,
        triplet_weight=1.0,
        memory=8192,
        memory_start=1000 / 35000,
        memory_weight=1.0,
        memory_loss="contrastive",
    ),
}
DISTILL = {
    "fast-reid": Preset(
        "projects/FastDistill/configs/Base-kd.yml and kd-sbs_r101ibn-sbs_r34.yml of fast-reid, temperature of "
        "meta_arch/distiller.py; the teacher is in the matrix file",
        image_size=WHOLE,
        resize="bicubic",
        epochs=60,
        identities=16,
        images=16,
        lr=7e-4,
        weight_decay=5e-4,
        label_smoothing=0.1,
        margin=None,
        triplet_weight=1.0,
        pool="gem",
        head="circle",
        head_scale=64.0,
        head_margin=0.35,
        flip=0.5,
        pad=10,
        erase=0.5,
        temperature=16.0,
        distill_weight=1.0,
    ),
}
BDB = {
    "code": Preset(
        "training command in the README of the official code, and its main_reid.py",
        image_size=TALL,
        resize="bilinear",
        epochs=400,
        passes="identities",
        identities=32,
        images=4,
        start="fan-out",
        lr=1e-3,
        weight_decay=5e-4,
        warmup=50 / 400,
        milestones=(200 / 400, 300 / 400),
        gamma=0.1,
        label_smoothing=0.1,
        margin=None,
        global_dim=512,
        drop_dim=1024,
        drop_height=0.33,
        drop_width=1.0,
        flip=0.5,
        cutout=0.5,
        cutout_size=64 / 384,
    )
}
MGN = {
    "paper": Preset(
        "section 4.1 of the paper, as quoted and set by the reproduction by levyfan",
        image_size=TALL,
        resize="bilinear",
        epochs=80,
        optimiser="sgd",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        milestones=(40 / 80, 60 / 80),
        gamma=0.1,
        label_smoothing=0.0,
        margin=1.2,
        triplet_weight=1.0,
        dim=256,
        pool="max",
        classify="pooled",
        flip_test=True,
        flip=0.5,
        erase=0.0,
        **_BATCH,
    ),
    "code": Preset(
        "last line of demo.sh of the reproduction by seathiefwang",
        image_size=TALL,
        resize="bicubic",
        epochs=400,
        passes="identities",
        start="fan-out",
        optimiser="adam",
        lr=2e-4,
        weight_decay=5e-4,
        milestones=(320 / 400, 380 / 400),
        gamma=0.1,
        label_smoothing=0.0,
        margin=1.2,
        triplet_weight=2.0,
        dim=256,
        pool="avg",
        flip_test=True,
        flip=0.5,
        erase=0.5,
        **_BATCH,
    ),
}
_LUPERSON: dict[str, Any] = {
    "image_size": TALL, "resize": "bicubic", "epochs": 60, "identities": 4, "images": 16, "lr": 3.5e-4,
    "weight_decay": 5e-4, "warmup": 10 / 60, "warmup_factor": 0.01, "fall": 30 / 60, "floor": 7.7e-7,
    "frozen": 10 / 60, "label_smoothing": 0.1, "circle_scale": 64.0, "circle_margin": 0.35, "margin": None,
    "triplet_weight": 1.0, "dim": 256, "flip": 0.5, "pad": 10, "erase": 0.5,
}  # fmt: skip
MGN_LUPERSON = {
    "luperson": Preset(
        "configs/CMDM/mgn_R50_moco.yml of DengpanFu/LUPerson, for weights learnt on LUPerson",
        **_LUPERSON,
        extra_norm=True,
    ),
    "imagenet": Preset(
        "configs/CMDM/mgn_R50.yml of DengpanFu/LUPerson, for ImageNet weights", **_LUPERSON, extra_norm=False
    ),
}

# A few steps with a small batch, for `reidbench rehearse`.
FEW: dict[str, Any] = {"epochs": 1, "identities": 2, "images": 2}
FEW_IN_ONE_PART = {**FEW, "accumulate": 1}
FEW_OF_A_POOL: dict[str, Any] = {
    "epochs": 1, "batch": 8, "splits": 2, "queue": 64, "monitor_every": 1, "clean_batches": 1,
}  # fmt: skip
