"""Read a matrix file: YAML becomes a Benchmark, and every mistake is named with its line and its cure.

Imports registry, components, data and the benchmark that it fills. Begin with `reader.py`.
"""
