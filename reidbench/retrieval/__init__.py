"""Search a gallery of pictures for those of the person in a picture, and show them on a page.

Imports export, report, scoring, metrics and data. Begin with `search.py`.
"""
