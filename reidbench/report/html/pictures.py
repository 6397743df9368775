"""A warning where a page has pictures of people that were not rendered here."""

from __future__ import annotations

from reidbench.matrix.stage import Plan
from reidbench.report.options import Options


def picture_warning(plan: Plan, options: Options) -> str:
    """A sentence with the names of the data sets whose pictures a page has, where these are not rendered; or empty."""
    if options.pictures != "all" or not options.ranked:
        return ""
    shown = {given.key for stage in plan.stages.values() if stage.kind == "embed" for given in stage.data}
    real = [stage for key, stage in plan.stages.items() if key in shown and stage.root is not None]
    names = dict.fromkeys(stage.label.removeprefix("data ") for stage in real)
    if not names:
        return ""
    return (
        f"The page has pictures of {', '.join(names)}, as --pictures all asks: they may show real people. See whether "
        "their licence and the law let you pass the page on."
    )
