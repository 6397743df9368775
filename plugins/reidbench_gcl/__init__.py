"""GCL (Chen et al., CVPR 2021): joint generative and contrastive learning, and providers of body structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reidbench import Component, Paper, hookimpl

from . import presets, published
from .hmr.params import HMRParams, HMRTrainingParams, HMRWeightsParams
from .params import GCLParams, GCLWeightsParams, OracleParams, RealParams
from .structure.params import AnnyParams, MeshParams, ReleaseParams, SmplParams, SyntheticStructureParams

# What all three arms share: the memory, its clustering, and what stands before.
LOOP = (
    "pictures are resized bilinear; the official code's bicubic is `resize: bicubic`, as in the presets",
    "the last epoch counts; the released code keeps the epoch with the best mAP on the test part",
    "the first stage is any adapter or fine-tuner of the recipe; the authors' are JVTC, MMCL and ACT",
    "eps counts pairs at a distance of 0; the released code drops those that rounding puts at exactly 0, which can "
    "make its eps a fifth larger where many rows have the same neighbours",
    "images with fewer than K negatives take all of them; the released code fails",
)
GCL = Paper(
    title="Joint Generative and Contrastive Learning for Unsupervised Person Re-identification",
    venue="CVPR 2021",
    url="https://arxiv.org/abs/2012.09071",
    code="https://github.com/chenhao2345/GCL",
    code_licence="MIT, but the generator's files carry CC BY-NC-SA 4.0: nothing of them was used",
    deviations=(
        *LOOP,
        "a released first stage is read by gcl-weights, with its head, so that the memory has its length (JVTC: 512)",
        "the joint stage goes on from the end of the warm-up; the released scripts resume from iteration 30,000",
        "generator and discriminator keep their learning rate; so they do in the released code on torch 1.4 or newer",
        "structure comes from any provider; the authors' from HMR with SMPL",
        "the memory has the images that have structure; the others are in no batch and no cluster",
        "mixup belongs to the successor, GCL+, and is not offered",
    ),
    published=published.GCL,
)
# Of the arms that GCL must be read against, nothing was published.
ORACLE = replace(
    GCL,
    deviations=(
        "an upper bound, of no paper: second views are the renderer's own pictures of the person from that side, "
        "without generator, warm-up and any loss but the contrast",
        "the encoder sees images and views, two passes of a step; in GCL it sees reconstruction and cycle as well",
        *LOOP,
    ),
    published=(),
)
CONTROL = replace(
    GCL,
    deviations=(
        "a control, of no paper: the images alone, held against a cluster mate's row with negatives of their own, "
        "without generator, warm-up and second views",
        *LOOP,
    ),
    published=(),
)
FIRST_STAGE = replace(
    GCL,
    published=(),
    deviations=(
        "the backbone is the recipe's; the released networks are a ResNet-50 with last stride 1 (resnet50)",
        "the feature is not at unit length: cosine distance gives the released ranking, Euclidean distance does not",
        "the file says nothing of cameras and frame numbers, which JVTC used; no protocol word tells of them",
    ),
)
HMR = Paper(
    title="End-to-end Recovery of Human Shape and Pose",
    venue="CVPR 2018",
    url="https://arxiv.org/abs/1712.06584",
    code="https://github.com/akanazawa/hmr",
    code_licence="MIT; it needs SMPL, whose licence is non-commercial: nothing of either was used",
    deviations=(
        "the body is an open humanoid, not SMPL; the network is taught by rendered persons whose truth is known",
        "a fourth camera number tells how much wider boxes were drawn; rotations are two columns, not axis-angle",
        "no adversarial prior: shape numbers and turns against rest are kept small instead",
        "a body turns about its own vertical axis, not the camera's: seen from above it would lean over",
    ),
)
SOURCE_FREE = frozenset({"source-free"})
START = frozenset({"start"})
TRUTH = frozenset({"truth"})
SEEDLESS = frozenset({"seedless"})
WORKLOAD = "reidbench_gcl.workload:arm"
# Few neighbours and a large share of pairs, so that there are clusters among a handful of pictures.
REHEARSAL = {"epochs": 1, "iterations": 2, "batch": 4, "k1": 4, "k2": 2, "rho": 0.05, "min_samples": 2}
# How `reidbench check` tries them: its pictures have neither known bodies nor, at 64x32, room for wide dilations.
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
    """The authors' first stage, from a file."""
    yield Component(
        "gcl-weights",
        "reidbench_gcl.contrast.released:finetune",
        GCLWeightsParams,
        summary="a released first stage of GCL from a file: backbone, linear layer and batch norm; nothing is trained",
        traits=frozenset({"label-free", "seedless"}),
        protocol=GCLWeightsParams.supervision,
        paper=FIRST_STAGE,
        presets=presets.WEIGHTS,
    )


@hookimpl
def reidbench_adapters() -> Iterator[Component]:
    """GCL, and the two arms that it must be read against."""
    yield Component(
        "gcl",
        "reidbench_gcl.adapt:adapt",
        GCLParams,
        version=2,
        summary="GCL: a generator turns every person, and images and their new views are contrasted with a memory",
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
        summary="GCL's contrast with the renderer's true views in place of generated ones: an upper bound",
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
        summary="GCL's contrast of the real images alone, without any second view: the control",
        traits=SOURCE_FREE,
        requires=START,
        paper=CONTROL,
        presets=presets.CONTRAST,
        rehearsal=REHEARSAL,
        workload=WORKLOAD,
    )


@hookimpl
def reidbench_preparers() -> Iterator[Component]:
    """Where the body's form at every turn comes from."""
    yield Component(
        "synthetic-structure",
        "reidbench_gcl.structure.providers:synthetic_structure",
        SyntheticStructureParams,
        summary="body structure as the renderer of the images knows it: no error",
        traits=SEEDLESS,
        requires=TRUTH,
        protocol=TRUTH,
    )
    for name, function, params, summary in (
        ("gcl-release", "gcl_release", ReleaseParams, "from a folder of the authors' rendered meshes"),
        ("mesh", "mesh", MeshParams, "rendered from a mesh file of each image"),
        ("smpl", "smpl", SmplParams, "rendered from a SMPL model file and parameters of each image"),
        ("anny", "anny", AnnyParams, "rendered from the open body model Anny"),
    ):
        target = f"reidbench_gcl.structure.providers:{function}"
        yield Component(name, target, params, summary=f"body structure {summary}", traits=SEEDLESS)
    yield Component(
        "hmr-training",
        "reidbench_gcl.hmr.training:prepare",
        HMRTrainingParams,
        version=2,
        summary="a regressor from a picture to camera, pose and shape of an open body, taught by a rendered pool",
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
        summary="structure maps of bodies that a regressor sees in the pictures; it is trained on the task's pool",
        traits=SEEDLESS,
        paper=HMR,
    )
    yield Component(
        "hmr-weights",
        "reidbench_gcl.hmr.structures:prepare_with_weights",
        HMRWeightsParams,
        summary="structure maps of bodies that a user's own weights of the regressor see in the pictures",
        traits=SEEDLESS,
        protocol=HMRWeightsParams.protocol,
        paper=HMR,
    )
