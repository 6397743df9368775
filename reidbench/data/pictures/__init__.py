"""Decode, orient and resize images from files or an lmdb.

Imports errors and files. Begin with `images.py`.
"""
