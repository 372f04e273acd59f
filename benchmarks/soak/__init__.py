"""The soak: minutes of mixed traffic through bad weather and cancellations, then a count of what leaked or got lost.

``python -m benchmarks soak --help``.
"""
