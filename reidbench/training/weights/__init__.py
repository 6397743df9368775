"""Read weights of other projects and write reidbench's own: names, layouts and matching.

Imports files and the networks of training. Begin with `resnets.py`.
"""
