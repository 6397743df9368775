"""A warning for pages with images of real people."""

from __future__ import annotations

from reidbench.matrix.stage import Plan
from reidbench.report.options import Options


def picture_warning(plan: Plan, options: Options) -> str:
    """Return a warning that names the data sets with images on the page that are not rendered, or ""."""
    if options.pictures != "all" or not options.ranked:
        return ""
    shown = {given.key for stage in plan.stages.values() if stage.kind == "embed" for given in stage.data}
    real = [stage for key, stage in plan.stages.items() if key in shown and stage.root is not None]
    names = dict.fromkeys(stage.label.removeprefix("data ") for stage in real)
    if not names:
        return ""
    return (
        f"This page contains images of {', '.join(names)} (--pictures all), which may show real people: check that "
        "their licence and the law permit you to share it."
    )
