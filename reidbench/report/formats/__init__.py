"""Write a leaderboard as Markdown, CSV, JSON, LaTeX or charts, with explanatory sentences.

Imports report's results, standings and evidence. Begin with `tables.py` and `sentences.py`.
"""
