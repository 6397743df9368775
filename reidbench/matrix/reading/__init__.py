"""Read a YAML matrix file into a Benchmark; every error is reported with its line and a fix.

Imports registry, components, data and the benchmark that it fills. Begin with `reader.py`.
"""
