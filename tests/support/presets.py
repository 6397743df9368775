"""Parts of a component's preset."""

from __future__ import annotations

from typing import Any

from reidbench.components import STEP_SETTINGS, Component


def settings_of(component: Component, preset: str) -> tuple[Any, dict[str, Any]]:
    """The parameters of a preset, and its settings of the step."""
    values = component.presets[preset]
    given = {name: value for name, value in values.items() if name not in STEP_SETTINGS}
    return component.params(**given), {name: values[name] for name in STEP_SETTINGS if name in values}
