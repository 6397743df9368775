"""The only error of this package, for arrays that a metric cannot be computed from."""

from __future__ import annotations


class MetricError(ValueError):
    """Raised for invalid arrays or settings; the message is one sentence."""
