"""Several matrices as one static site: linked pages with shared assets.

Imports report, its page and the store. Begin with `pages.py`, which builds all pages; `catalogue.py` identifies equal
tasks, methods and results of different matrices.
"""
