"""The operations of the sandbox by noun."""

from tallyfy_async.sandbox.oauth import routes as oauth
from tallyfy_async.sandbox.router import Router

from . import identity, runs, tasks, templates


def build() -> Router:
    """Return the router over every operation that the sandbox serves."""
    return Router(oauth, identity.routes, templates.routes, runs.routes, tasks.routes)
