"""How far many processes get against the published limits, by simulation: ``python -m benchmarks capacity --help``.

The clients are the package's own: :class:`~tallyfy_async.engine.call.Engine` with its deadline, retries and limiter.
Simulated are time, the server, the network between them, and what processes share.
"""
