"""What all models of replies have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from attrs import field, fields, frozen

from tallyfy_async.protocol.converter import unstructure
from tallyfy_async.protocol.kinds import NO_EXTRA


@frozen(kw_only=True, repr=False)
class Model:
    """Something that a reply describes.

    An attribute is None where the reply lacks its key or has null there. An attribute whose key in the API is no
    identifier of ours is declared with ``field(default=None, metadata={"key": …})``.

    Attributes:
        extra: what the reply holds beyond the attributes, key -> JSON value; to be read, not changed.

    """

    __bare__: ClassVar[str | None] = None
    """Key whose value alone may stand for the whole object."""

    extra: Mapping[str, Any] = field(default=NO_EXTRA, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the reply's JSON object again, sharing nothing with the model.

        Moments are ISO 8601 Zulu, keys that are None are left out, the rest is as the reply had it.
        """
        payload = unstructure(self)
        return cast("dict[str, Any]", payload if type(payload) is dict else {self.__bare__: payload})

    def __repr__(self) -> str:
        shown = [(attribute.name, getattr(self, attribute.name)) for attribute in fields(type(self))]
        known = [f"{name}={value!r}" for name, value in shown if value is not None and name != "extra"]
        return f"{type(self).__name__}({', '.join([*known, *([f'extra={self.extra!r}'] if self.extra else [])])})"
