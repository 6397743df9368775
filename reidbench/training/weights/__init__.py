"""Read weights of other projects and write ours: names, layouts, what fits.

Imports files and training's networks. Begin with `resnets.py`.
"""
