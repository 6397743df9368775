"""A preset of a component, taken apart."""

from __future__ import annotations

from typing import Any

from reidbench.components import STEP_SETTINGS, Component


def settings_of(component: Component, preset: str) -> tuple[Any, dict[str, Any]]:
    """The parameters that a preset makes, and the settings of a step beside them."""
    values = component.presets[preset]
    given = {name: value for name, value in values.items() if name not in STEP_SETTINGS}
    return component.params(**given), {name: values[name] for name in STEP_SETTINGS if name in values}
