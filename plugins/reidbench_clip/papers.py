"""The papers of this plugin, and deviations from them."""

from __future__ import annotations

from reidbench import Paper

from . import published

CLIP = Paper(
    title="Learning Transferable Visual Models From Natural Language Supervision",
    venue="ICML 2021",
    url="https://arxiv.org/abs/2103.00020",
    code="https://github.com/openai/CLIP",
    code_licence="MIT",
    deviations=(
        "positions are resampled bilinearly from the file's square grid, as in CLIP-ReID's code",
        "OpenAI's published archives are programs (TorchScript), which are never executed: save their state dict as "
        "safetensors first",
        "the image encoder with a ResNet is not implemented",
    ),
)
CLIP_REID = Paper(
    title="CLIP-ReID: Exploiting Vision-Language Model for Image Re-Identification without Concrete Text Labels",
    venue="AAAI 2023",
    url="https://arxiv.org/abs/2211.13977",
    code="https://github.com/Syliz517/CLIP-ReID",
    code_licence="MIT",
    deviations=(
        "no tokeniser: the only sentence is a template, whose token ids are constants, checked with OpenAI's tokeniser "
        "and vocabulary",
        "the text encoder computes the sentence's tokens without the padding to 77, which attention up to each token "
        "never sees",
        "camera and view embeddings (SIE) are not implemented; overlapping patches (OLP) are `stride: 12` of the "
        "backbone",
        "features of the first stage are computed once in single precision; the official code uses fp16",
        "the official code adds an empty batch, whose loss is undefined, if the number of images is a multiple of the "
        "first stage's batch; here there is none",
        "precision is the matrix file's, 32-true by default; the official runs use fp16 with loss scaling",
        "the defaults normalise pixels as CLIP was trained; the official code and `preset: paper` use 0.5",
        "published rows on MSMT17 are of its train and val lists together: `train: trainval` of the data set",
        "runs on one device only",
    ),
    published=published.CLIP_REID,
)
