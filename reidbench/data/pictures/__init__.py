"""Decode, orient and resize images from files or an lmdb.

Imports errors and files. Start with `images.py`.
"""
