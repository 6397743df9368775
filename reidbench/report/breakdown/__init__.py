"""What is behind a mean: a row by camera, pair of cameras and person, and two rows by their seeds and their queries.

Imports the rest of report, metrics and the store. Begin with `parts.py`, and for two rows with `differences.py`.
"""
