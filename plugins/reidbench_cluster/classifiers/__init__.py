"""Methods that classify clusters, with a classifier that starts at their centres: strong-baseline and MMT.

Imports the loop, batches and memories of this package, and training. Begin with `training.py`; `mmt.py` adds the peers
and their temporal averages.
"""
