"""Write a leaderboard as Markdown, CSV, JSON, LaTeX or charts, with the sentences that belong beside its numbers.

Imports report's results, standings and evidence. Begin with `tables.py` and `sentences.py`.
"""
