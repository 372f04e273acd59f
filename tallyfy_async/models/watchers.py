"""Subscriptions to what happens in an organization."""

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id


@frozen(kw_only=True, repr=False)
class Watcher(Model):
    """Describe a subscription (contract: Watcher)."""

    id: Id | None = None
    """None only where the reply to a new subscription does not tell it."""
    object_type: str | None = None
    object_id: Id | None = None
    notification_type: str | None = None
    frequency: str | None = None
    webhook: str | None = None
    """Which of the three holds the address is not documented: :attr:`address` knows."""
    webhook_url: str | None = None
    url: str | None = None

    @property
    def address(self) -> str | None:
        """Return the URL that is called."""
        return self.webhook or self.webhook_url or self.url
