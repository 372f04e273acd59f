"""Figures of the package beside those of its peers, taken in the same run: ``python -m benchmarks``.

One module of :mod:`benchmarks.rows` is one row. Times of one machine mean little, so every goal is a ratio of two
figures that were measured in turns, each the best of several rounds.
"""
