"""What a matrix file claims of its rows, judged by the rule of the file: pairs, verdicts, sentences.

Imports the results and metrics. Begin with `pairs.py`, then `verdicts.py`.
"""
