"""Hash the contents of data on disk, and detect changes cheaply.

Imports errors and files. Begin with `fingerprint.py`; `index.py` caches earlier hashes.
"""
