"""Asyncio-native, typed Python SDK for the Tallyfy REST API.

Public names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tallyfy_async.auth.authorize import AuthorizationRequest
    from tallyfy_async.auth.grants import ClientCredentials, PasswordGrant, RefreshToken
    from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken, StoredLogin
    from tallyfy_async.auth.loopback import LoopbackReceiver
    from tallyfy_async.auth.manager import TokenManager, TokenStatistics
    from tallyfy_async.auth.on_behalf_of import OnBehalfOf
    from tallyfy_async.auth.personal import StaticToken
    from tallyfy_async.auth.redirect import safe_return_path
    from tallyfy_async.auth.stores import TokenStore
    from tallyfy_async.auth.stores.file import FileStore
    from tallyfy_async.auth.stores.keyring import KeyringStore
    from tallyfy_async.auth.stores.memory import MemoryStore
    from tallyfy_async.auth.stores.redis import RedisStore
    from tallyfy_async.auth.stores.sealing import generate_key
    from tallyfy_async.auth.token import Token
    from tallyfy_async.client import TallyfyClient
    from tallyfy_async.engine import bulk
    from tallyfy_async.engine.download import Download
    from tallyfy_async.engine.otel import OpenTelemetryHooks
    from tallyfy_async.engine.pager import Page, Pager
    from tallyfy_async.engine.plan import RequestOptions, Response
    from tallyfy_async.engine.policy import RetryPolicy
    from tallyfy_async.errors import (
        AmbiguousRefreshError,
        APIError,
        AuthenticationError,
        AuthError,
        BadRequestError,
        ClientClosedError,
        ClientLoopError,
        ConfigurationError,
        ConflictError,
        DecodeError,
        EndpointNotFoundError,
        EndpointRemovedError,
        EndpointRenamedError,
        ExportError,
        IndeterminateError,
        InsufficientScopeError,
        InvalidClientError,
        KickoffError,
        NotFoundError,
        NotSentError,
        Outcome,
        PaginationError,
        PermissionDeniedError,
        PersonalTokenRevokedError,
        RateLimitError,
        ReauthenticationRequiredError,
        RedirectError,
        RequestTimeoutError,
        SeatPoolExhaustedError,
        ServerError,
        StoreCorruptError,
        StoreError,
        StoreLockTimeoutError,
        TallyfyError,
        TokenRequestError,
        TransportError,
        UnverifiedEndpointWarning,
        UploadSourceError,
        ValidationError,
        WebhookError,
    )
    from tallyfy_async.models.forms import KickoffForm, TaskForm
    from tallyfy_async.models.search import Where
    from tallyfy_async.models.threads import mention
    from tallyfy_async.organization import Organization
    from tallyfy_async.protocol.kinds import UNSET, Unset
    from tallyfy_async.protocol.operation import Operation
    from tallyfy_async.protocol.redaction import Secret, redact, redact_headers
    from tallyfy_async.protocol.scopes import Scope
    from tallyfy_async.registry import operations
    from tallyfy_async.telemetry import (
        AttemptRecord,
        CallHooks,
        CallRecord,
        Hooks,
        LoggingHooks,
        RedactingFilter,
        TokenRecord,
        redact_event,
    )
    from tallyfy_async.transport.aiohttp import aiohttp_transport
    from tallyfy_async.transport.exchange import Timeouts
    from tallyfy_async.transport.limiter import RateLimit
else:
    _PLACES = {
        "auth.grants": ("ClientCredentials", "PasswordGrant", "RefreshToken"),
        "auth.logins": ("AuthorizationCode", "ImplicitToken", "StoredLogin"),
        "auth.authorize": ("AuthorizationRequest",),
        "auth.loopback": ("LoopbackReceiver",),
        "auth.on_behalf_of": ("OnBehalfOf",),
        "auth.manager": ("TokenManager", "TokenStatistics"),
        "auth.personal": ("StaticToken",),
        "auth.redirect": ("safe_return_path",),
        "auth.stores": ("TokenStore",),
        "auth.stores.file": ("FileStore",),
        "auth.stores.keyring": ("KeyringStore",),
        "auth.stores.memory": ("MemoryStore",),
        "auth.stores.redis": ("RedisStore",),
        "auth.stores.sealing": ("generate_key",),
        "auth.token": ("Token",),
        "client": ("TallyfyClient",),
        "engine.download": ("Download",),
        "engine.otel": ("OpenTelemetryHooks",),
        "engine.plan": ("RequestOptions", "Response"),
        "engine.pager": ("Page", "Pager"),
        "engine.policy": ("RetryPolicy",),
        "models.forms": ("KickoffForm", "TaskForm"),
        "models.search": ("Where",),
        "models.threads": ("mention",),
        "organization": ("Organization",),
        "protocol.kinds": ("UNSET", "Unset"),
        "protocol.operation": ("Operation",),
        "protocol.redaction": ("Secret", "redact", "redact_headers"),
        "protocol.scopes": ("Scope",),
        "registry": ("operations",),
        "telemetry": (
            "AttemptRecord",
            "CallHooks",
            "CallRecord",
            "Hooks",
            "LoggingHooks",
            "RedactingFilter",
            "TokenRecord",
            "redact_event",
        ),
        "transport.aiohttp": ("aiohttp_transport",),
        "transport.exchange": ("Timeouts",),
        "transport.limiter": ("RateLimit",),
    }
    _MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
    _SUBMODULES = {
        "bulk": "engine.bulk",
        "errors": "errors",
        "export": "export",
        "fleet": "fleet",
        "models": "models",
        "sandbox": "sandbox",
        "testing": "testing",
        "webhooks": "webhooks",
    }

    def __getattr__(name: str) -> Any:
        if name in _SUBMODULES:
            return import_module(f"{__name__}.{_SUBMODULES[name]}")
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = import_module(f"{__name__}.{_MODULE_OF.get(name, 'errors')}")
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        return sorted([*__all__, *_SUBMODULES])


__all__ = [
    "UNSET",
    "APIError",
    "AmbiguousRefreshError",
    "AttemptRecord",
    "AuthError",
    "AuthenticationError",
    "AuthorizationCode",
    "AuthorizationRequest",
    "BadRequestError",
    "CallHooks",
    "CallRecord",
    "ClientClosedError",
    "ClientCredentials",
    "ClientLoopError",
    "ConfigurationError",
    "ConflictError",
    "DecodeError",
    "Download",
    "EndpointNotFoundError",
    "EndpointRemovedError",
    "EndpointRenamedError",
    "ExportError",
    "FileStore",
    "Hooks",
    "ImplicitToken",
    "IndeterminateError",
    "InsufficientScopeError",
    "InvalidClientError",
    "KeyringStore",
    "KickoffError",
    "KickoffForm",
    "LoggingHooks",
    "LoopbackReceiver",
    "MemoryStore",
    "NotFoundError",
    "NotSentError",
    "OnBehalfOf",
    "OpenTelemetryHooks",
    "Operation",
    "Organization",
    "Outcome",
    "Page",
    "Pager",
    "PaginationError",
    "PasswordGrant",
    "PermissionDeniedError",
    "PersonalTokenRevokedError",
    "RateLimit",
    "RateLimitError",
    "ReauthenticationRequiredError",
    "RedactingFilter",
    "RedirectError",
    "RedisStore",
    "RefreshToken",
    "RequestOptions",
    "RequestTimeoutError",
    "Response",
    "RetryPolicy",
    "Scope",
    "SeatPoolExhaustedError",
    "Secret",
    "ServerError",
    "StaticToken",
    "StoreCorruptError",
    "StoreError",
    "StoreLockTimeoutError",
    "StoredLogin",
    "TallyfyClient",
    "TallyfyError",
    "TaskForm",
    "Timeouts",
    "Token",
    "TokenManager",
    "TokenRecord",
    "TokenRequestError",
    "TokenStatistics",
    "TokenStore",
    "TransportError",
    "Unset",
    "UnverifiedEndpointWarning",
    "UploadSourceError",
    "ValidationError",
    "WebhookError",
    "Where",
    "__version__",
    "aiohttp_transport",
    "bulk",
    "generate_key",
    "mention",
    "operations",
    "redact",
    "redact_event",
    "redact_headers",
    "safe_return_path",
]
