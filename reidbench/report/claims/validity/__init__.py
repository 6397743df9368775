"""Whether an order of methods that was measured is the published one: Kendall's tau-b over groups of methods.

Imports matrix, metrics and the results of report. Begin with `groups.py`, which reads the file of groups; `compared.py`
counts pairs, `text.py` writes.
"""
