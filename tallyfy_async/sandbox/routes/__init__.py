"""The operations of the sandbox by noun."""

from tallyfy_async.sandbox.authorization import routes as authorization
from tallyfy_async.sandbox.oauth import routes as oauth
from tallyfy_async.sandbox.router import Router, Routes

from . import applications, identity, runs, tasks, templates


def build(*more: Routes) -> Router:
    """Return the router over every operation of the contract that the sandbox serves, and what is not in it."""
    nouns = (applications, identity, templates, runs, tasks)
    return Router(oauth, authorization, *(noun.routes for noun in nouns), *more)
