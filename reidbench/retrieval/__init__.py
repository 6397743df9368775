"""Search a gallery for the images nearest to a query, and show them on an HTML page.

Imports export, report, scoring, metrics and data. Begin with `search.py`.
"""
