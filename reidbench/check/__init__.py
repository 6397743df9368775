"""The contract suite: what every component of a plugin must keep, tried on tiny data.

Imports stages, execution and what is below; only the command line and testing import it. Begin with `suite.py`.
`check_plugin` is `reidbench check` as a function. What is tried, by the word that a failing line begins with:

- `import`: the plugin declares itself without torch. `readme`: it has one, which names every component and says what
  differs from the paper. `params`: each has a description.
- `shapes`: answers are what the kind promises, and an embedder is rebuilt from its file as it was.
- `determinism`: the same seed twice gives the same bytes.
- `resume`: a run that is interrupted after its first epoch ends with the same bytes.
- `global state`: no result depends on numpy's, Python's or, while training, torch's global generator; no setting of
  torch, numpy or the process is left changed.
- `requires`: it gets through an epoch where the task lacks what it does not require.
- `offers`: what a data set offers and lacks is so.
- `files`: nothing is written but in `out`, `scratch` and a data set's `cache`.
- `version`: a result that changed since it was recorded has another `version`.
- `run`: it raised something, or ended its process; each plugin is tried in a process of its own.
"""

from __future__ import annotations

from .examples import Example
from .report import Findings, Line
from .suite import check_plugin

__all__ = ["Example", "Findings", "Line", "check_plugin"]
