"""Decode, turn and resize pictures, from files or from an lmdb.

Imports errors and files. Begin with `images.py`.
"""
