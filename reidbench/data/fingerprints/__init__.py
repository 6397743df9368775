"""Hash the contents of data on disk, and detect changes cheaply.

Imports errors and files. Start with `fingerprint.py`; `index.py` caches earlier hashes.
"""
