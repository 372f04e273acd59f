"""One tenant: its resources under one roof."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyfy_async.engine.call import Engine

if TYPE_CHECKING:
    from tallyfy_async.resources.activity import Activity
    from tallyfy_async.resources.checklists import Checklists
    from tallyfy_async.resources.custom_fields import CustomFieldKeys
    from tallyfy_async.resources.files import Assets, Files
    from tallyfy_async.resources.folders import Folders
    from tallyfy_async.resources.groups import Groups
    from tallyfy_async.resources.guests import Guests
    from tallyfy_async.resources.legacy import Legacy
    from tallyfy_async.resources.me import OrganizationMe
    from tallyfy_async.resources.micro import Micro
    from tallyfy_async.resources.organizations import Billing, Branding, OrganizationDetails
    from tallyfy_async.resources.roles import Roles
    from tallyfy_async.resources.runs import Runs
    from tallyfy_async.resources.search import Search
    from tallyfy_async.resources.tags import Tags
    from tallyfy_async.resources.tasks import Tasks
    from tallyfy_async.resources.threads import Threads
    from tallyfy_async.resources.users import Users
    from tallyfy_async.resources.webhooks import Webhooks

    _Details = OrganizationDetails
else:
    _Details = object  # its methods are found by __getattr__, so that the models are loaded when they are needed

# Attribute -> module and class. They are imported when first used, so that a program pays for what it calls only. The
# words of Tallyfy's web app are aliases of the API's nouns (seed 002).
_NAMESPACES = {
    "activity": ("activity", "Activity"),
    "assets": ("files", "Assets"),
    "billing": ("organizations", "Billing"),
    "branding": ("organizations", "Branding"),
    "checklists": ("checklists", "Checklists"),
    "custom_fields": ("custom_fields", "CustomFieldKeys"),
    "files": ("files", "Files"),
    "folders": ("folders", "Folders"),
    "groups": ("groups", "Groups"),
    "guests": ("guests", "Guests"),
    "legacy": ("legacy", "Legacy"),
    "me": ("me", "OrganizationMe"),
    "micro": ("micro", "Micro"),
    "roles": ("roles", "Roles"),
    "runs": ("runs", "Runs"),
    "search": ("search", "Search"),
    "tags": ("tags", "Tags"),
    "tasks": ("tasks", "Tasks"),
    "threads": ("threads", "Threads"),
    "users": ("users", "Users"),
    "webhooks": ("webhooks", "Webhooks"),
}
_ALIASES = {"templates": "checklists", "processes": "runs"}
_METHODS = ("get", "update")


class Organization(_Details):
    """One organization: ``get`` and ``update`` its details, and the resources in it.

    Made by :meth:`TallyfyClient.organization`.

    Attributes:
        id: the organization's id, 32 lower-case hex characters.
        activity: the activity feed.
        assets: assets.
        billing: billing.
        branding: branding.
        checklists: templates; also ``templates``.
        custom_fields: the keys of custom fields.
        files: files.
        folders: folders.
        groups: groups.
        guests: guests.
        legacy: routes that only older documents name.
        me: the authenticated user in this organization.
        micro: micro-functions.
        roles: roles.
        runs: processes; also ``processes``.
        search: search.
        tags: tags.
        tasks: tasks of runs and one-off tasks.
        threads: comments and issues.
        users: members.
        webhooks: watchers and organization-wide webhooks.

    """

    activity: Activity
    assets: Assets
    billing: Billing
    branding: Branding
    checklists: Checklists
    custom_fields: CustomFieldKeys
    files: Files
    folders: Folders
    groups: Groups
    guests: Guests
    legacy: Legacy
    me: OrganizationMe
    micro: Micro
    roles: Roles
    runs: Runs
    search: Search
    tags: Tags
    tasks: Tasks
    threads: Threads
    users: Users
    webhooks: Webhooks
    processes: Runs
    templates: Checklists

    def __init__(self, engine: Engine, organization_id: str) -> None:
        self._pipeline = engine
        self.id = organization_id

    def __repr__(self) -> str:
        return f"<Organization {self.id}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            name = _ALIASES.get(name, name)
            if name in self.__dict__:
                return self.__dict__[name]
            if name in _METHODS:
                return getattr(self._resource("organizations", "OrganizationDetails"), name)
            if name not in _NAMESPACES:
                msg = (
                    f"an organization has no {name!r}; it has {', '.join(sorted([*_NAMESPACES, *_ALIASES, *_METHODS]))}"
                )
                raise AttributeError(msg)
            resource = self._resource(*_NAMESPACES[name])
            self.__dict__[name] = resource
            return resource

        def _resource(self, module: str, kind: str) -> Any:
            return getattr(import_module(f"tallyfy_async.resources.{module}"), kind)(self._pipeline, {"org": self.id})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_NAMESPACES, *_ALIASES, *_METHODS})
