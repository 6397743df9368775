"""GCL (Chen et al., CVPR 2021): joint generative and contrastive learning, and providers of body structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .hmr.params import HMRParams, HMRTrainingParams, HMRWeightsParams
from .params import GCLParams, GCLWeightsParams, OracleParams, RealParams
from .structure.params import AnnyParams, MeshParams, ReleaseParams, SmplParams, SyntheticStructureParams

# shared by all three arms: the memory, its clustering, and the first stage
LOOP = (
    "images are resized bilinearly; the official code's bicubic is `resize: bicubic`, as in the presets",
    "the result is that of the last epoch; the released code keeps the epoch with the best mAP on the test part",
    "the first stage is any adapter or fine-tuner of the recipe; the authors use JVTC, MMCL and ACT",
    "eps includes pairs at a distance of 0; the released code drops those that rounding puts at exactly 0, which "
    "can raise its eps by a fifth where many rows have the same neighbours",
    "images with fewer than K negatives use all of them; the released code fails",
)
GCL = Paper(
    title="Joint Generative and Contrastive Learning for Unsupervised Person Re-identification",
    venue="CVPR 2021",
    url="https://arxiv.org/abs/2012.09071",
    code="https://github.com/chenhao2345/GCL",
    code_licence="MIT, but the generator's files carry CC BY-NC-SA 4.0: nothing of them was used",
    deviations=(
        *LOOP,
        "gcl-weights reads a released first stage with its head, so that the memory has its length (JVTC: 512)",
        "the joint stage continues from the end of the warm-up; the released scripts resume from iteration 30,000",
        "generator and discriminator keep their learning rate, as in the released code on torch 1.4 or newer",
        "structure comes from any provider; the authors use HMR with SMPL",
        "the memory holds the images that have structure; the others are in no batch and no cluster",
        "mixup belongs to the successor, GCL+, and is not implemented",
    ),
    published=published.GCL,
)
# No published numbers exist for the arms that GCL must be compared with.
ORACLE = replace(
    GCL,
    deviations=(
        "an upper bound, from no paper: second views are the renderer's own images of the person from that side, "
        "without generator and warm-up, and with the contrast as the only loss",
        "the encoder sees images and views, two passes per step; in GCL it also sees reconstruction and cycle",
        *LOOP,
    ),
    published=(),
)
CONTROL = replace(
    GCL,
    deviations=(
        "a control, from no paper: only the real images, contrasted with a cluster mate's row and their own "
        "negatives, without generator, warm-up and second views",
        *LOOP,
    ),
    published=(),
)
FIRST_STAGE = replace(
    GCL,
    published=(),
    deviations=(
        "the backbone is the recipe's; the released networks are a ResNet-50 with last stride 1 (resnet50)",
        "the feature does not have unit length: cosine distance gives the released ranking, Euclidean distance does "
        "not",
        "the file does not record the cameras and frame numbers that JVTC used, so the protocol column does not "
        "show them",
    ),
)
HMR = Paper(
    title="End-to-end Recovery of Human Shape and Pose",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1712.06584",
    code="https://github.com/akanazawa/hmr",
    code_licence="MIT; it needs SMPL, whose licence is non-commercial: nothing of either was used",
    deviations=(
        "the body is an open humanoid, not SMPL; the network is trained on rendered persons with known truth",
        "a fourth camera number estimates how much wider boxes were stretched; rotations are two columns, not "
        "axis-angle",
        "no adversarial prior: a penalty keeps shape numbers and rotations from the rest pose small",
        "a body turns about its own vertical axis, not the camera's, about which a body seen from above would lean "
        "over",
    ),
)
SOURCE_FREE = frozenset({"source-free"})
START = frozenset({"start"})
TRUTH = frozenset({"truth"})
SEEDLESS = frozenset({"seedless"})
WORKLOAD = "reidbench_gcl.workload:arm"
# few neighbours and a large share of pairs, so that a handful of images forms clusters
REHEARSAL = {"epochs": 1, "iterations": 2, "batch": 4, "k1": 4, "k2": 2, "rho": 0.05, "min_samples": 2}
# For `reidbench check`: its images have no known bodies and, at 64x32, are too small for wide dilations.
CHECK = {
    "gcl": "reidbench_gcl.examples:gcl",
    "gcl-oracle": {"rho": 0.05},
    "gcl-contrast": {"rho": 0.05},
    "hmr": "reidbench_gcl.examples:hmr",
    "hmr-training": {"backbone": "small"},
    "hmr-weights": "reidbench_gcl.examples:weights",
    "anny": "reidbench_gcl.examples:anny",
}


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Return the fine-tuner gcl-weights: the authors' first stage, from a file."""
    yield Component(
        "gcl-weights",
        "reidbench_gcl.contrast.released:finetune",
        GCLWeightsParams,
        summary="released first stage of GCL from a file: backbone, linear layer and batch norm, without training",
        traits=frozenset({"label-free", "seedless"}),
        protocol=GCLWeightsParams.supervision,
        paper=FIRST_STAGE,
        presets=presets.WEIGHTS,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """Return GCL, and the two arms to compare it with."""
    yield Component(
        "gcl",
        "reidbench_gcl.adapt:adapt",
        GCLParams,
        version=2,
        summary="GCL: a generator turns every person; images and generated views are contrasted with a memory",
        traits=SOURCE_FREE,
        requires=START,
        paper=GCL,
        presets=presets.GCL,
        rehearsal={**REHEARSAL, "batch": 2, "warmup_epochs": 1, "warmup_iterations": 1, "probe": 2, "sheet": 1},
        workload=WORKLOAD,
    )
    yield Component(
        "gcl-oracle",
        "reidbench_gcl.adapt:oracle",
        OracleParams,
        version=2,
        summary="upper bound: GCL's contrast with the renderer's true views instead of generated ones",
        traits=SOURCE_FREE,
        requires=START | TRUTH,
        protocol=TRUTH,
        paper=ORACLE,
        presets=presets.ORACLE,
        rehearsal={**REHEARSAL, "sheet": 1},
        workload=WORKLOAD,
    )
    yield Component(
        "gcl-contrast",
        "reidbench_gcl.adapt:contrast",
        RealParams,
        version=2,
        summary="control: GCL's contrast of the real images only, without second views",
        traits=SOURCE_FREE,
        requires=START,
        paper=CONTROL,
        presets=presets.CONTRAST,
        rehearsal=REHEARSAL,
        workload=WORKLOAD,
    )


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """Return the preparers of body structure at every angle."""
    yield Component(
        "synthetic-structure",
        "reidbench_gcl.structure.providers:synthetic_structure",
        SyntheticStructureParams,
        summary="true body structure from the renderer of the images",
        traits=SEEDLESS,
        requires=TRUTH,
        protocol=TRUTH,
    )
    for name, function, params, summary in (
        ("gcl-release", "gcl_release", ReleaseParams, "from a folder of the authors' rendered meshes"),
        ("mesh", "mesh", MeshParams, "rendered from a mesh file of each image"),
        ("smpl", "smpl", SmplParams, "rendered from an SMPL model file and parameters of each image"),
        ("anny", "anny", AnnyParams, "rendered from the open body model Anny"),
    ):
        target = f"reidbench_gcl.structure.providers:{function}"
        yield Component(name, target, params, summary=f"body structure {summary}", traits=SEEDLESS)
    yield Component(
        "hmr-training",
        "reidbench_gcl.hmr.training:prepare",
        HMRTrainingParams,
        version=2,
        summary="regressor from an image to camera, pose and shape of an open body, trained on a rendered pool",
        requires=TRUTH,
        protocol=HMRTrainingParams.protocol,
        paper=HMR,
        rehearsal={"epochs": 1, "batch": 4, "monitor_every": 1, "sheet": 2},
        workload="reidbench_gcl.workload:hmr_training",
    )
    yield Component(
        "hmr",
        "reidbench_gcl.hmr.structures:prepare",
        HMRParams,
        summary="structure maps of bodies estimated by a regressor that is trained on the task's pool",
        traits=SEEDLESS,
        paper=HMR,
    )
    yield Component(
        "hmr-weights",
        "reidbench_gcl.hmr.structures:prepare_with_weights",
        HMRWeightsParams,
        summary="structure maps of bodies estimated by a regressor with the user's weights",
        traits=SEEDLESS,
        protocol=HMRWeightsParams.protocol,
        paper=HMR,
    )
