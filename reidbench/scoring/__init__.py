"""Score features that were computed elsewhere: files of many layouts, read without running anything, then ranked.

Imports metrics, data and files. Begin with `score.py`, then `featurefile.py`; `placing.py` finds the images of a
data set in a file, for the rows of a matrix.
"""
