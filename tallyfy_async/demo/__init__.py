"""The main job: read a whole organization through expiring tokens, rate limits and broken connections, and prove it.

``python -m tallyfy_async demo`` starts a sandbox in a second process and works on that; with ``--url`` and ``--token``
the reading half runs against any other server. It needs the extra ``sandbox``; importing this package does not.
"""
