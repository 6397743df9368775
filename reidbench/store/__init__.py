"""Keep artifacts on disk by key: visible only when whole, verified when read, locked while made.

Imports data, files and errors. Begin with `artifacts.py`.
"""
