"""One tenant: its resources under one roof."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyfy_async.engine.call import Engine

if TYPE_CHECKING:
    from tallyfy_async.resources.checklists import Checklists
    from tallyfy_async.resources.me import OrganizationMe
    from tallyfy_async.resources.runs import Runs
    from tallyfy_async.resources.tasks import Tasks
    from tallyfy_async.resources.users import Users

# Attribute -> module and class. They are imported when first used, so that a program pays for what it calls only. The
# words of Tallyfy's web app are aliases of the API's nouns (seed 002).
_NAMESPACES = {
    "checklists": ("checklists", "Checklists"),
    "me": ("me", "OrganizationMe"),
    "runs": ("runs", "Runs"),
    "tasks": ("tasks", "Tasks"),
    "users": ("users", "Users"),
}
_ALIASES = {"templates": "checklists", "processes": "runs"}


class Organization:
    """The resources of one organization; made by :meth:`TallyfyClient.organization`.

    Attributes:
        id: the organization's id, 32 lower-case hex characters.
        checklists: templates; also ``templates``.
        me: the authenticated user in this organization.
        runs: processes; also ``processes``.
        tasks: tasks of runs and one-off tasks.
        users: members.

    """

    checklists: Checklists
    templates: Checklists
    me: OrganizationMe
    runs: Runs
    processes: Runs
    tasks: Tasks
    users: Users

    def __init__(self, engine: Engine, organization_id: str) -> None:
        self._engine = engine
        self.id = organization_id

    def __repr__(self) -> str:
        return f"<Organization {self.id}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            name = _ALIASES.get(name, name)
            if name in self.__dict__:
                return self.__dict__[name]
            if name not in _NAMESPACES:
                msg = f"an organization has no {name!r}; it has {', '.join(sorted([*_NAMESPACES, *_ALIASES]))}"
                raise AttributeError(msg)
            module, kind = _NAMESPACES[name]
            resource = getattr(import_module(f"tallyfy_async.resources.{module}"), kind)(self._engine, {"org": self.id})
            self.__dict__[name] = resource
            return resource

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_NAMESPACES, *_ALIASES})
