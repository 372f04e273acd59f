"""Webhooks: received, checked, told apart, and handed to your functions once each.

::

    from tallyfy_async.webhooks import Dispatcher, SenderCheck, TaskCompleted, WebhookApp

    dispatcher = Dispatcher()
    on = dispatcher.on

    @on.task_completed(alias="review")
    async def reviewed(event: TaskCompleted) -> None:
        print(event.payload.this_task.title, event.payload.form_fields)

    app = WebhookApp(dispatcher, SenderCheck(organization_id, secret=secret))

``app`` is an ASGI application: serve it alone, or mount it and enter ``async with dispatcher.running():`` in the
lifespan of the application around it. Tallyfy delivers once: call :func:`catch_up` at the start and from time to time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallyfy_async.errors import WebhookError

if TYPE_CHECKING:
    from tallyfy_async.webhooks.app import ReceiverStatistics, WebhookApp
    from tallyfy_async.webhooks.dedupe import DedupeStore, MemoryDedupe, Verdict
    from tallyfy_async.webhooks.dedupe_redis import RedisDedupe
    from tallyfy_async.webhooks.dedupe_sqlite import SQLiteDedupe
    from tallyfy_async.webhooks.dispatcher import Dispatcher
    from tallyfy_async.webhooks.events import (
        AnyEvent,
        Event,
        OrganizationEvent,
        ProcessCompleted,
        ProcessLaunched,
        TaskCompleted,
        dedupe_key,
        parse_event,
    )
    from tallyfy_async.webhooks.letters import DeadLetter, DeadLetters, Reason
    from tallyfy_async.webhooks.outcomes import Handled, Result, Statistics
    from tallyfy_async.webhooks.payloads import (
        EventAsset,
        EventField,
        EventGroup,
        EventMember,
        EventNextTask,
        EventOwners,
        EventPerson,
        EventProcess,
        EventTag,
        EventTask,
        EventTemplate,
        OrganizationPayload,
        ProcessPayload,
        TaskPayload,
    )
    from tallyfy_async.webhooks.polling import CaughtUp, catch_up
    from tallyfy_async.webhooks.refusals import Refusal
    from tallyfy_async.webhooks.routing import Handlers, Strategy
    from tallyfy_async.webhooks.sender import SenderCheck
else:
    _NAMES = {
        "app": "ReceiverStatistics WebhookApp",
        "dedupe": "DedupeStore MemoryDedupe Verdict",
        "dedupe_redis": "RedisDedupe",
        "dedupe_sqlite": "SQLiteDedupe",
        "dispatcher": "Dispatcher",
        "events": "AnyEvent Event OrganizationEvent ProcessCompleted ProcessLaunched TaskCompleted dedupe_key "
        "parse_event",
        "letters": "DeadLetter DeadLetters Reason",
        "outcomes": "Handled Result Statistics",
        "payloads": "EventAsset EventField EventGroup EventMember EventNextTask EventOwners EventPerson EventProcess "
        "EventTag EventTask EventTemplate OrganizationPayload ProcessPayload TaskPayload",
        "polling": "CaughtUp catch_up",
        "refusals": "Refusal",
        "routing": "Handlers Strategy",
        "sender": "SenderCheck",
    }
    _MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return list(__all__)


__all__ = [
    "AnyEvent",
    "CaughtUp",
    "DeadLetter",
    "DeadLetters",
    "DedupeStore",
    "Dispatcher",
    "Event",
    "EventAsset",
    "EventField",
    "EventGroup",
    "EventMember",
    "EventNextTask",
    "EventOwners",
    "EventPerson",
    "EventProcess",
    "EventTag",
    "EventTask",
    "EventTemplate",
    "Handled",
    "Handlers",
    "MemoryDedupe",
    "OrganizationEvent",
    "OrganizationPayload",
    "ProcessCompleted",
    "ProcessLaunched",
    "ProcessPayload",
    "Reason",
    "ReceiverStatistics",
    "RedisDedupe",
    "Refusal",
    "Result",
    "SQLiteDedupe",
    "SenderCheck",
    "Statistics",
    "Strategy",
    "TaskCompleted",
    "TaskPayload",
    "Verdict",
    "WebhookApp",
    "WebhookError",
    "catch_up",
    "dedupe_key",
    "parse_event",
]
