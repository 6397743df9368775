"""Send the events of a run to trackers, each in a separate process, so that none affects the run or its results.

Imports report, execution, matrix, registry and store. Begin with `following.py`.

`choices.py` reads `--track`, `facts.py` describes runs, stages and rows, and `child.py` is the process of a tracker.
"""
