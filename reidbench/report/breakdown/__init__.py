"""Where a row fails: its metric by camera, by pair of cameras and by person, and two rows query by query.

Imports the rest of report, metrics and the store. Begin with `parts.py`.
"""
