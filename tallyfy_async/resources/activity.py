"""The activity feed: who did what."""

from __future__ import annotations

from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.activity import ActivityFeedItem
from tallyfy_async.models.filters import ActivityFilters
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, query_of

LIST = Operation(
    id="list_activity_feeds",
    method="GET",
    path="/organizations/{org}/activity-feeds",
    scopes="unknown",
    call="org.activity.list",
    confidence="documented",
    max_per_page=100,
)

_PAIRS = (("entity_id", "entity_type"), ("entity_type", "entity_id"), ("origin_id", "origin_type"))


@frozen(eq=False)
class Activity(Resource):
    """The audit trail of the organization or one of its objects."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[ActivityFilters]
    ) -> Pager[ActivityFeedItem]:
        """List what happened, to everything or to one object (contract: list_activity_feeds).

        Members who are no administrators see what they may see. Polling it is throttled. Raises ConfigurationError for
        an id without the type that goes with it.
        """
        query = query_of(ActivityFilters, filters, "activity.list")
        for name, needed in _PAIRS:
            if name in query and needed not in query:
                msg = f"activity.list: {name} goes with {needed}"
                raise ConfigurationError(msg)
        return self._list(LIST, ActivityFeedItem, query=query, per_page=per_page, options=options)
