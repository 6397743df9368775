"""The generator of turned views and its discriminator.

Imports torch and this folder. Begin with `synthesis.py`.
"""
