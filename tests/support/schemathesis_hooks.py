"""Hooks of schemathesis: small true images, where the document asks for an image."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies

from tests.support.services import encoded, noise

PICTURES = [encoded(noise(seed), form) for seed in range(3) for form in ("PNG", "JPEG")]
schemathesis.openapi.media_type("image/png", strategies.sampled_from(PICTURES), aliases=["image/jpeg"])
