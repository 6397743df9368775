"""Write a leaderboard as one HTML page.

Imports report, its formats and the store. Begin with `page.py`; the templates are beside it.
"""
