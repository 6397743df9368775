"""Score features computed by other programs, in files of many layouts, which are read without executing code.

Imports metrics, data and files. Begin with `score.py`, then `featurefile.py`. `placing.py` matches the rows of a
feature file with the images of a data set, for rows of a matrix file.
"""
