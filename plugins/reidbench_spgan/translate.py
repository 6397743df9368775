"""Training of CycleGAN and SPGAN on source and target without labels; then every source image is translated."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from reidbench import PrepareContext
from reidbench.data import HiddenSplit
from reidbench.errors import DataError, ReidbenchError
from reidbench.training import Means, Update, image_source, seeded, stream
from reidbench.training.batches.reading import Fetch
from reidbench.training.optim.schedules import linear_decay
from reidbench.training.translation.passes import Passes
from reidbench.training.translation.pixels import crop_and_flip, to_pixels, to_signed

from .files import write_translations
from .history import ImageHistory
from .losses import Vectors, realness_loss, similarity_loss
from .networks import Discriminator, Generator, SiameseNetwork
from .params import CycleGanParams, SpganParams

DOMAINS = ("source", "target")
Values = dict[str, torch.Tensor]


def cyclegan(ctx: PrepareContext[CycleGanParams]) -> None:
    """Train both generators, then write every image of the split in the target's style: see `write_translations`.

    Also writes `generator.safetensors`. Raises DataError if there are too few images, or if the networks cannot halve
    the image size.
    """
    _train_and_translate(CycleGan(ctx, "cyclegan"))


def spgan(ctx: PrepareContext[SpganParams]) -> None:
    """Train as `cyclegan`, with a Siamese network that keeps each image near its translation."""
    _train_and_translate(Spgan(ctx, "spgan"))


def _train_and_translate(run: CycleGan) -> None:
    run.train()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in run.generators["target"].state_dict().items()}
    save_file(state, run.ctx.out / "generator.safetensors")
    write_translations(run.ctx, run.translated, run.size, quality=run.params.quality)


class CycleGan:
    """One training run. `generators["target"]` translates to the target's style, `generators["source"]` back."""

    def __init__(self, ctx: PrepareContext[CycleGanParams], name: str) -> None:
        if ctx.fabric.world_size != 1:
            raise ReidbenchError(f"{name} trains on one device: set `devices: 1`")
        if ctx.target is None:
            raise DataError(f"{name} needs the images of a target to translate to")
        self.ctx = ctx
        self.params = ctx.params
        self.size = self._working_size()
        self.streams = {purpose: stream(ctx.seed, purpose) for purpose in ("augment", "history", "dropout")}
        splits = {"source": ctx.split, "target": ctx.target}
        self.passes = {
            domain: Passes(len(split), ctx.params.batch, ctx.seed, f"{domain} images to translate")
            for domain, split in splits.items()
        }
        self.total = ctx.params.steps or ctx.params.epochs * min(map(len, self.passes.values()))
        self.fetch = {domain: self._source(split) for domain, split in splits.items()}
        self.history = {domain: ImageHistory(ctx.params.history, self.streams["history"]) for domain in DOMAINS}
        self._build()

    def _working_size(self) -> tuple[int, int]:
        height, width = self.params.size or self.ctx.image_size
        if height % 4 or width % 4 or min(height, width) < 8:
            raise DataError(
                f"the generators halve images twice, which {height}x{width} does not allow: set `size` to multiples "
                "of 4, at least 8"
            )
        return height, width

    def _source(self, split: HiddenSplit) -> Fetch:
        larger = [round(side * self.params.enlarge) for side in self.size]
        return image_source(split, (larger[0], larger[1]), workers=self.ctx.workers)

    def _build(self) -> None:
        params = self.params
        with seeded(self.ctx.seed, "networks"):
            self.generators = nn.ModuleDict({d: Generator(params.channels, params.blocks) for d in DOMAINS})
            self.critics = nn.ModuleDict(
                {d: Discriminator(self.size, params.critic_channels, params.critic_layers) for d in DOMAINS}
            )
            self.networks = {"generators": self.generators, "critics": self.critics, **self.further_networks()}
        self.optimisers = {}
        for name, network in self.networks.items():
            self.ctx.fabric.to_device(network)
            self.optimisers[name] = torch.optim.Adam(network.parameters(), lr=params.lr, betas=params.betas)
        self.updates = {name: Update(self.ctx.fabric, one) for name, one in self.optimisers.items()}

    def further_networks(self) -> dict[str, nn.Module]:
        """Return networks that are trained in addition, by name."""
        return {}

    # ------------------------------------------------------------------ training
    def train(self) -> None:
        """Train all remaining steps, with a checkpoint and a log line every `save_every`."""
        every = self.params.save_every
        state = {
            **self.networks,
            **{f"{name}_optimiser": one for name, one in self.optimisers.items()},
            **{f"{domain}_history": one for domain, one in self.history.items()},
            **{f"{name}_stream": one for name, one in self.streams.items()},
        }
        for part in self.ctx.checkpoint.epochs(-(-self.total // every), **state):
            means = Means()
            for step in range(part * every, min((part + 1) * every, self.total)):
                means.add(self.step(step))
            self.ctx.log({"steps": min((part + 1) * every, self.total), **means.values()})

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Take a step of the generators, then of the discriminators; return the values to log.

        All networks see the translations from before the generators' step.
        """
        rate = self.params.lr * linear_decay(step, self.total, self.params.decay_start)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate
        images = self.batch(step)
        fakes = {
            "target": self.generate("target", images["source"]),
            "source": self.generate("source", images["target"]),
        }
        detached = {domain: fake.detach() for domain, fake in fakes.items()}
        facts = self.train_generators(images, fakes)
        seen = {domain: self.history[domain].exchanged(fake) for domain, fake in detached.items()}
        loss = self.critic_loss(images, seen)
        self.updates["critics"](loss)
        return {**facts, "critic_loss": loss.detach(), **self.train_further(images, detached), "lr": rate}

    def batch(self, step: int) -> Values:
        """Return augmented images [B, 3, H, W] in -1..1 of both domains."""
        found = {}
        for domain in DOMAINS:
            pixels = self.fetch[domain](self.passes[domain].at(step)).permute(0, 3, 1, 2)
            images = crop_and_flip(pixels, self.size, self.params.flip, self.streams["augment"])
            found[domain] = self.ctx.fabric.to_device(to_signed(images))
        return found

    def generate(self, domain: str, images: torch.Tensor) -> torch.Tensor:
        """Translate images [B, 3, H, W] to a domain, in float32."""
        with self.ctx.fabric.autocast():
            return self.generators[domain](images).float()  # type: ignore[no-any-return]

    def realness(self, domain: str, images: torch.Tensor) -> torch.Tensor:
        """Return a domain's map of realness [B, 1, h, w] of images, in float32."""
        with self.ctx.fabric.autocast():
            return self.critics[domain](images).float()  # type: ignore[no-any-return]

    def train_generators(self, images: Values, fakes: Values) -> Values:
        """Take a step of both generators; the other networks get no gradients."""
        others = [network for name, network in self.networks.items() if name != "generators"]
        for network in others:
            network.requires_grad_(False)
        facts = self.generator_terms(images, fakes)
        loss = self.generator_loss(facts)
        self.updates["generators"](loss)
        for network in others:
            network.requires_grad_(True)
        return {"generator_loss": loss.detach(), **{name: value.detach() for name, value in facts.items()}}

    def generator_terms(self, images: Values, fakes: Values) -> Values:
        """Return the terms of the generators' loss without weights, each a sum over both directions."""
        back = {"source": self.generate("source", fakes["target"]), "target": self.generate("target", fakes["source"])}
        terms = {
            "adversarial": sum(realness_loss(self.realness(domain, fakes[domain]), 1.0) for domain in DOMAINS),
            "cycle": sum((back[domain] - images[domain]).abs().mean() for domain in DOMAINS),
        }
        if self.params.identity_weight > 0:
            same = {domain: self.generate(domain, images[domain]) for domain in DOMAINS}
            terms["identity"] = sum((same[domain] - images[domain]).abs().mean() for domain in DOMAINS)
        return terms  # type: ignore[return-value]

    def generator_loss(self, terms: Values) -> torch.Tensor:
        """Return the weighted sum of the terms."""
        loss = terms["adversarial"] + self.params.cycle_weight * terms["cycle"]
        return loss + self.params.identity_weight * terms["identity"] if "identity" in terms else loss

    def critic_loss(self, images: Values, fakes: Values) -> torch.Tensor:
        """Return the discriminators' loss: of each, half the sum of its loss at real and at translated images."""
        losses = [
            realness_loss(self.realness(domain, images[domain]), 1.0)
            + realness_loss(self.realness(domain, fakes[domain]), 0.0)
            for domain in DOMAINS
        ]
        return torch.stack(losses).sum() / 2

    def train_further(self, images: Values, fakes: Values) -> Values:
        """Train further networks on images and detached translations; return the values to log."""
        return {}

    # ------------------------------------------------------------------ translated images
    @torch.no_grad()
    def translated(self, indices: np.ndarray) -> np.ndarray:
        """Translate images [n] of the split, not augmented, one at a time: uint8 [n, H, W, 3].

        An image's translation does not depend on which others are translated with it.
        """
        fetch = image_source(self.ctx.split, self.size, limit=0, workers=self.ctx.workers)
        pixels = self.ctx.fabric.to_device(to_signed(fetch(indices).permute(0, 3, 1, 2)))
        return torch.cat([to_pixels(self.generate("target", image[None])) for image in pixels]).numpy()


class Spgan(CycleGan):
    """CycleGAN with a Siamese network, whose similarity loss is also a term of the generators' loss."""

    params: SpganParams

    def further_networks(self) -> dict[str, nn.Module]:
        """Return the Siamese network."""
        params = self.params
        self.siamese = SiameseNetwork(
            self.size, params.siamese_channels, params.siamese_layers, params.dropout, self.streams["dropout"]
        )
        return {"siamese": self.siamese}

    def generator_terms(self, images: Values, fakes: Values) -> Values:
        """Return CycleGAN's terms and the similarity loss."""
        return {**super().generator_terms(images, fakes), "similarity": self.similarity(images, fakes)[0]}

    def generator_loss(self, terms: Values) -> torch.Tensor:
        """Return the weighted sum of the terms."""
        return super().generator_loss(terms) + self.params.similarity_weight * terms["similarity"]

    def train_further(self, images: Values, fakes: Values) -> Values:
        """Take a step of the Siamese network, by the same loss."""
        loss, facts = self.similarity(images, fakes)
        self.updates["siamese"](loss)
        return {"siamese_loss": loss.detach(), **facts}

    def similarity(self, images: Values, fakes: Values) -> tuple[torch.Tensor, Values]:
        """Return the similarity loss, the mean over its four pairs, and its terms to log."""
        with self.ctx.fabric.autocast():
            vectors = [
                self.siamese(one) for one in (images["source"], fakes["target"], images["target"], fakes["source"])
            ]
        pulled, pushed = similarity_loss(Vectors(*vectors), self.params.margin, self.params.negatives)
        return (pulled + pushed) / 2, {"pulled": pulled.detach(), "pushed": pushed.detach()}
