"""A matrix file in small: stand-ins for its data and files, short trainings, and what full scale will take.

Imports report, execution, stages, matrix and what they stand on. Begin with `rehearse.py`.
"""
