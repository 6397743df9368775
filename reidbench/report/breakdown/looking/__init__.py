"""A closer look at rows: ranked lists side by side, activation maps, projections and histograms of distances.

Imports the rest of report, and training for the maps. Begin with `section.py`.
"""
