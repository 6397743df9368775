"""Write a leaderboard as Markdown, CSV, JSON or LaTeX.

Imports report's results, standings and sentences. Begin with `tables.py`.
"""
