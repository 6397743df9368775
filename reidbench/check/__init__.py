"""The contract suite: checks of every component of a plugin, on tiny data.

Imports stages, execution and the packages below; only the command line and testing import it. Start with `suite.py`.
`check_plugin` is `reidbench check` as a function. The checks, by the first word of a failing line:

- `import`: the plugin's declaration does not import torch. `readme`: the README names every component and lists
  deviations from the paper. `params`: every parameter has a description.
- `shapes`: results have the form required of their kind, and an embedder rebuilt from its file equals the original.
- `determinism`: running twice with the same seed gives the same bytes.
- `resume`: a run that is interrupted after its first epoch and resumed gives the same bytes.
- `global state`: no result depends on numpy's, Python's or, while training, torch's global generator, and settings of
  torch, numpy and the process are restored.
- `requires`: an epoch succeeds on a task without anything that the component does not require.
- `offers`: a data set's declarations of what it offers and lacks are true.
- `files`: files are written only to `out`, `scratch` and a data set's `cache`.
- `version`: a result that differs from the recorded one has a new `version`.
- `run`: the component raised an exception, exited, crashed, or exceeded the time limit of a step. Each plugin is
  checked in a separate process.
"""

from __future__ import annotations

from .examples import Example
from .report import Findings, Line
from .suite import check_plugin

__all__ = ["Example", "Findings", "Line", "check_plugin"]
