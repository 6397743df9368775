"""The one error of this package: arrays that no metric can be computed from."""

from __future__ import annotations


class MetricError(ValueError):
    """The arrays are not what a metric needs; the message is one sentence that says what and where."""
