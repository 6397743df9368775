"""Compare the methods of a board over several tasks by ranks.

Imports report's results and standings, and metrics. Begin with `comparison.py`.
"""
