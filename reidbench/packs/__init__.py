"""Results that leave a store: recorded boards, packs that others can join, and the checks of what a pack claims.

Imports execution, report, stages, matrix, registry and store. Begin with `recorded.py`.
"""
