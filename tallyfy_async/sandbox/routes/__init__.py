"""The operations of the sandbox by noun."""

from tallyfy_async.sandbox.authorization import routes as authorization
from tallyfy_async.sandbox.oauth import routes as oauth
from tallyfy_async.sandbox.router import Router, Routes

from . import (
    activity,
    applications,
    automations,
    custom_fields,
    files,
    folders,
    groups,
    guests,
    identity,
    me,
    members,
    micro,
    oneoffs,
    organization,
    runs,
    search,
    steps,
    tags,
    tasks,
    templates,
    threads,
    utils,
)


def build(*more: Routes) -> Router:
    """Return the router over every operation of the contract that the sandbox serves, and what is not in it."""
    nouns = (
        applications,
        identity,
        templates,
        steps,
        automations,
        runs,
        tasks,
        threads,
        oneoffs,
        tags,
        folders,
        files,
        search,
        micro,
        activity,
        custom_fields,
        groups,
        guests,
        me,
        members,
        organization,
        utils,
    )
    return Router(oauth, authorization, *(noun.routes for noun in nouns), *more)
