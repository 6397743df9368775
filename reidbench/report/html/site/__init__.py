"""Many matrices as one static site: pages that are linked to each other, and assets once.

Imports report, its page and the store. Begin with `pages.py`, which knows what is on the site; `catalogue.py` finds out
which tasks, methods and results of several matrices are the same.
"""
