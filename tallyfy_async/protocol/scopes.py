"""The OAuth scopes of the API and what each allows (seed 000)."""

import enum
from collections.abc import Mapping
from types import MappingProxyType


class Scope(enum.StrEnum):
    """A scope that a token can carry."""

    ORGANIZATION = "organization"
    """Manage organization, users, tags and subscription."""
    ACCOUNT = "account"
    """Manage account details, account tasks and process views."""
    TEMPLATE = "template"
    """Manage templates and steps."""
    PROCESS = "process"
    """Manage processes, tasks and one-off tasks."""
    ALL = "*"
    """Everything: the wildcard."""


CAPABILITIES: Mapping[str, Scope] = MappingProxyType(
    {
        "Can Start/Update/Delete/Restore Process": Scope.PROCESS,
        "Can Complete/Re-Open Tasks": Scope.PROCESS,
        "Can Report/Resolve task issues": Scope.PROCESS,
        "Can Add/Remove tags in processes and tasks": Scope.PROCESS,
        "Can Create/Update/Delete/Restore Templates": Scope.TEMPLATE,
        "Can Create/Update/Delete Steps": Scope.TEMPLATE,
        "Can Create/Update/Delete Forms": Scope.TEMPLATE,
        "Can Create/Update/Delete Rules": Scope.TEMPLATE,
        "Can Add/Remove tags in templates": Scope.TEMPLATE,
        "Can Update current user profile and preferences.": Scope.ACCOUNT,
        "Can Create/Update/Delete current user process views": Scope.ACCOUNT,
        "Can Recover current user password": Scope.ACCOUNT,
        "Can Get list of assigned tasks": Scope.ACCOUNT,
        "Can Update organization details": Scope.ORGANIZATION,
        "Can Update billing info and plan": Scope.ORGANIZATION,
        "Can Invite/Disable/Delete users": Scope.ORGANIZATION,
        "Can Create/Update/Delete tags": Scope.ORGANIZATION,
        "Can Create/Update/Delete users groups": Scope.ORGANIZATION,
        "Can Create/Update/Delete users roles": Scope.ORGANIZATION,
    }
)
"""Every capability that seed 000 names, in its words and order, and the scope that grants it."""

_UNDECIDED = frozenset({"none", "unknown"})


def parse_scope(text: str) -> frozenset[str]:
    """Split the ``scope`` of a token reply or request into its words; unknown words are kept.

    The separator is white space (RFC 6749 section 3.3).
    """
    return frozenset(text.split())


def allows(granted: frozenset[str] | None, needed: frozenset[str]) -> bool:
    """Tell whether a token with these scopes may perform an operation that needs one of those.

    ``granted`` is None where the token's scopes are not known: then the server decides, as it does where the contract
    marks the operation ``none`` or ``unknown``. Any one of the needed scopes suffices, ``*`` grants everything.
    """
    return granted is None or not needed or Scope.ALL in granted or not (granted | _UNDECIDED).isdisjoint(needed)
