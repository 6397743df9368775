"""Scaled-down runs of a matrix file: stand-ins for its data and files, short training, estimates for full scale.

Imports report, execution, stages, matrix and their dependencies. Start with `rehearse.py`.
"""
