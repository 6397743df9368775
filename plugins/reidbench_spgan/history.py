"""Earlier translations that a discriminator sees in place of the newest ones (Shrivastava et al., CVPR 2017)."""

from __future__ import annotations

import torch


class ImageHistory:
    """Up to `size` images; its state is part of the checkpoint, except `generator`."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.generator = generator
        self.images: list[torch.Tensor] = []

    def exchanged(self, images: torch.Tensor) -> torch.Tensor:
        """Return images [B, 3, H, W], each replaced with probability 1/2 by a stored one, whose place it takes.

        Until the history is full, images are stored and returned unchanged.
        """
        returned = []
        for image in images.detach():
            chosen = image
            if len(self.images) < self.size:
                self.images.append(image)
            elif self.size and torch.rand((), generator=self.generator) < 0.5:
                place = int(torch.randint(self.size, (), generator=self.generator))
                chosen, self.images[place] = self.images[place].to(image), image
            returned.append(chosen)
        return torch.stack(returned)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """State for resuming."""
        return {"images": torch.stack(self.images).cpu() if self.images else torch.zeros(0)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the output of `state_dict`."""
        self.images = list(state["images"])
