"""Name the content of data on disk by hashes, and prove cheaply that it has not changed.

Imports errors and files. Begin with `fingerprint.py`; `index.py` remembers what was hashed before.
"""
