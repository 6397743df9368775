"""Compare measured and published orders of methods: Kendall's tau-b over groups of methods.

Imports matrix, metrics and the results of report. Begin with `groups.py`, which reads the groups file; `compared.py`
counts pairs, `text.py` writes Markdown.
"""
