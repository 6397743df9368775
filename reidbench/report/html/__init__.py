"""Write a leaderboard as one HTML page.

Imports report, its formats and the store. Begin with `page.py`; templates are in `templates/`.
"""
