"""Other parts of a data set than it ships: all its images as one, and a part that is held out of train.

Imports the rest of data. Begin with `everything.py`.
"""
