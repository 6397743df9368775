"""Derived parts of a data set: all its images as one set, and a part held out of train.

Imports the rest of data. Begin with `everything.py`.
"""
