"""Every workload can be loaded without torch."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from reidbench.components import load_attribute
from reidbench.registry import plugins

for component in plugins.load().components.values():
    if component.workload:
        assert callable(load_attribute(component.workload)), component.name
print("torch" in sys.modules)
"""


def test_a_workload_is_known_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
