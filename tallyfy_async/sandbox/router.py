"""From method and path to an operation. Adding an operation is writing one decorated handler."""

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from .exchange import Incoming, Reply
from .problems import Problem, endpoint_not_found, unauthenticated
from .records import JsonObject, Member, User
from .settings import Settings
from .tokens import AccessToken
from .views.lens import Lens
from .world import Tenant, World

Context = Literal["user", "application", "any", "none"]
_PARAMETER = "{}"


@frozen(kw_only=True)
class Call:
    """What a handler gets: the request, who asks, and the world."""

    incoming: Incoming
    operation: "Operation"
    params: dict[str, str]
    world: World
    settings: Settings
    bearer: AccessToken | None
    """The accepted access token; None on operations that need none."""
    now: int

    @property
    def query(self) -> Mapping[str, str]:
        """Return the query of the request."""
        return self.incoming.query

    @property
    def tenant(self) -> Tenant:
        """Return the organization of the path."""
        return self.world.tenant(self.params["org"])

    @property
    def token(self) -> AccessToken:
        """Return the accepted access token."""
        if self.bearer is None:
            raise unauthenticated()
        return self.bearer

    @property
    def user(self) -> User:
        """Return the caller."""
        if self.token.user_id is None:
            raise unauthenticated()
        return self.world.users[self.token.user_id]

    @property
    def member(self) -> Member:
        """Return the caller's place in the organization of the path."""
        return self.tenant.members[self.user.id]

    @property
    def lens(self) -> Lens:
        """Return what the views need to render this organization."""
        return Lens(tenant=self.tenant, settings=self.settings, now=self.now)

    @property
    def includes(self) -> frozenset[str]:
        """Return the words of `with`."""
        return frozenset(part.strip() for part in self.incoming.query.get("with", "").split(",") if part.strip())

    def body(self) -> JsonObject:
        """Return the body, JSON or a form; {} when there is none, or when Content-Type calls it neither."""
        kind = self.incoming.headers.get("content-type", "")
        if "x-www-form-urlencoded" in kind:
            return dict(parse_qsl(self.incoming.body.decode("utf-8", "replace"), keep_blank_values=True))
        return self.incoming.json_object() if "json" in kind else {}


Handler = Callable[[Call], Reply]


@frozen(kw_only=True)
class Operation:
    """One operation of the contract as the sandbox serves it."""

    name: str
    method: str
    path: str
    handler: Handler
    scope: str | list[str]
    """Any of several suffices; `unknown` where no source names one."""
    context: Context = "user"
    scoped: bool = False
    """The capability is named in seed 000: a token without the scope is refused."""

    def allowed_to(self, token: AccessToken) -> bool:
        """Tell whether a token holds the scope, or one of the scopes."""
        names = [self.scope] if isinstance(self.scope, str) else self.scope
        return not self.scoped or any(token.allows(name) for name in names)


class Routes:
    """The operations of one noun: `@routes.get("/organizations/{org}/runs", "list_runs", scope="process")`."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        name: str,
        *,
        scope: str | list[str],
        context: Context = "user",
        scoped: bool | None = None,
    ) -> Callable[[Handler], Handler]:
        """Register a handler. Writes with a known scope are scoped unless told otherwise, reads are not."""

        def register(handler: Handler) -> Handler:
            demanding = (method != "GET" and scope != "unknown") if scoped is None else scoped
            self.operations.append(
                Operation(
                    name=name, method=method, path=path, handler=handler, scope=scope, context=context, scoped=demanding
                )
            )
            return handler

        return register


@define
class _Node:
    children: dict[str, "_Node"] = field(factory=dict[str, "_Node"])
    operations: dict[str, Operation] = field(factory=dict[str, Operation])


class Router:
    """A tree over path segments: fixed words win over parameters."""

    def __init__(self, *groups: Routes) -> None:
        self._root = _Node()
        self.operations = [operation for group in groups for operation in group.operations]
        for operation in self.operations:
            self._insert(operation)

    def _insert(self, operation: Operation) -> None:
        node = self._root
        for part in operation.path.strip("/").split("/"):
            node = node.children.setdefault(_PARAMETER if part.startswith("{") else part, _Node())
        node.operations[operation.method] = operation

    def resolve(self, method: str, segments: tuple[str, ...]) -> tuple[Operation, dict[str, str]]:
        """Find the operation and its path parameters; raise a 404, or a 405 where only another method is served."""
        nodes = self._nodes(self._root, segments)
        for node in nodes:
            if method in node.operations:
                operation = node.operations[method]
                return operation, _parameters(operation.path, segments)
        allowed = sorted({name for node in nodes for name in node.operations})
        if not allowed:
            raise endpoint_not_found()
        message = f"The {method} method is not supported for this route. Supported methods: {', '.join(allowed)}."
        raise Problem(405, {"error": True, "message": message}, {"Allow": ", ".join(allowed)})

    def _nodes(self, node: _Node, rest: tuple[str, ...]) -> list[_Node]:
        if not rest:
            return [node] if node.operations else []
        found: list[_Node] = []
        for key in (rest[0], _PARAMETER):
            child = node.children.get(key)
            if child is not None and (key != _PARAMETER or rest[0]):
                found += self._nodes(child, rest[1:])
        return found


def _parameters(path: str, segments: tuple[str, ...]) -> dict[str, str]:
    parts = path.strip("/").split("/")
    return {name[1:-1]: value for name, value in zip(parts, segments, strict=True) if name.startswith("{")}
