"""Reading what the token endpoint answers: a token, or why there is none."""

from __future__ import annotations

import math
from typing import Any, cast

from attrs import frozen

from tallyfy_async.auth.oauth_client import ASK_FOR_USER_TOKEN, REFRESH_TOKEN, TokenRequest
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import (
    APIError,
    DecodeError,
    InvalidClientError,
    RateLimitError,
    ServerError,
    TokenRequestError,
)
from tallyfy_async.protocol.redaction import Secret, redact
from tallyfy_async.protocol.response import Reply, decode, kind_of
from tallyfy_async.protocol.scopes import parse_scope
from tallyfy_async.telemetry import logger

MAX_REPLY_BYTES = 2**20
_LONGEST_LIFE = 2.0**31 - 1
_DEAD_HINTS = ("revoked", "expired", "decrypt", "not linked", "not issued to this client", "refresh token is invalid")
_USER_TOKEN_ADVICE = {
    401: "the application's token is not accepted there: check client_id and client_secret with Tallyfy's support",
    403: "the application has no permissions for this organization",
    404: "the organization has no member with this email: client.applications.create_user makes one",
}


class DeadRefreshTokenError(TokenRequestError):
    """The refresh token is revoked, expired or another client's; asking again cannot help."""


class UnreadableTokenReplyError(TokenRequestError):
    """The token endpoint answered 2xx, but not with a token: it may have rotated the refresh token."""


@frozen(kw_only=True)
class Issued:
    """What a successful token reply holds, before it joins a line of tokens.

    Attributes:
        access_token: a token68 text.
        refresh_token: None where the reply has none: the old one stays valid.
        lifetime: seconds from the moment of sending, None where the reply does not tell.
        scopes: None where the reply does not tell.

    """

    access_token: Secret
    refresh_token: Secret | None
    lifetime: float | None
    scopes: frozenset[str] | None

    def follow(self, old: Token | None, request: TokenRequest, *, sent_at: float) -> Token:
        """Return the record that follows ``old``; ``sent_at`` is the wall time at which the request was sent.

        A refresh keeps what its reply leaves out. A new login does not: it must not go on with the refresh token of the
        old one, and its scopes are those asked for (RFC 6749 section 5.1).
        """
        kept = old if request.operation is REFRESH_TOKEN else None
        asked = None if request.scope is None else parse_scope(request.scope)
        scopes = asked if kept is None else kept.scopes
        return Token(
            access_token=self.access_token,
            refresh_token=self.refresh_token or (kept.refresh_token if kept else None),
            scopes=scopes if self.scopes is None else self.scopes,
            issued_at=sent_at,
            lifetime=self.lifetime,
            generation=(old.generation if old else 0) + 1,
        )


def read_token(reply: Reply) -> Issued:
    """Return the token of a 2xx reply.

    Raises UnreadableTokenReplyError, whose message and traceback hold nothing of the body.
    """
    issued = _issued(reply)
    if isinstance(issued, Issued):
        return issued
    msg = f"the token endpoint answered {reply.status} without a token: {issued}"
    raise UnreadableTokenReplyError(msg, status=reply.status)


def _issued(reply: Reply) -> Issued | str:
    """Return what the reply holds, or why that is no token: nothing is raised where local variables hold the body."""
    try:
        payload = decode(reply)
    except DecodeError as error:
        return str(error)
    if not isinstance(payload, dict):
        return f"expected an object, got {kind_of(payload)}"
    body = cast("dict[str, Any]", payload)
    if "error" in body and "access_token" not in body:
        return f"a success status with the error {_word(body['error'])!r}"
    if (problem := _problem(body.get("access_token"), body.get("token_type"))) is not None:
        return problem
    return Issued(
        access_token=Secret(body["access_token"]),
        refresh_token=_refresh_token(body.get("refresh_token")),
        lifetime=read_lifetime(body.get("expires_in")),
        scopes=parse_scope(scope) if isinstance(scope := body.get("scope"), str) and scope.strip() else None,
    )


def _problem(access_token: Any, token_type: Any) -> str | None:
    if not isinstance(access_token, str):
        return f"access_token is {kind_of(access_token)}"
    if not access_token or not all("!" <= character <= "~" for character in access_token):
        return "access_token is empty or holds characters that no header can carry"
    if token_type is not None and (not isinstance(token_type, str) or token_type.lower() != "bearer"):
        return "token_type is not Bearer"
    return None


def _refresh_token(value: Any) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value else None


def read_lifetime(value: Any) -> float | None:
    """Return the seconds that ``expires_in`` says, in any spelling: a number, a numeric text, negative as expired."""
    if value is None:
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except OverflowError:  # an integer beyond every float
        seconds = _LONGEST_LIFE if value > 0 else 0.0
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        kind = kind_of(value)
        logger.warning("the token reply has an unusable expires_in (%s); the token is used until refused", kind)
        return None
    return min(max(seconds, 0.0), _LONGEST_LIFE)


def refusal(error: APIError, request: TokenRequest) -> TokenRequestError:
    """Return what an error status means for the token line.

    league/oauth2-server 8 answers a dead refresh token with 401 and a dead code with 400 ``invalid_request`` and a
    hint, version 9 with 400 ``invalid_grant``.
    """
    said: object = error.body
    body = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    code = _word(body.get("error"))
    hint = " ".join(_word(body.get(key)) for key in ("error_description", "hint", "message")).strip()
    details: dict[str, Any] = {
        "status": error.status,
        "error": code or None,
        "description": redact(hint) or None,
        "retry_after": error.retry_after if isinstance(error, RateLimitError | ServerError) else None,
        "outcome": error.outcome,
    }
    if code in {"invalid_client", "unauthorized_client"} or (error.status == 401 and _names_client(hint)):
        return InvalidClientError(_say(details, "check client_id and client_secret"), **details)
    if request.spends and (code == "invalid_grant" or _is_league_8_dead(error.status, code, hint)):
        what = "refresh token" if request.operation is REFRESH_TOKEN else "authorization code"
        return DeadRefreshTokenError(_say(details, f"the {what} is dead"), **details)
    if request.operation is ASK_FOR_USER_TOKEN:
        advice = _USER_TOKEN_ADVICE.get(error.status, error.message)
        return TokenRequestError(_say(details, advice, "the user-token call of the application"), **details)
    if code in {"invalid_grant", "invalid_credentials"}:
        return TokenRequestError(_say(details, "check username and password"), **details)
    return TokenRequestError(_say(details, error.message), **details)


def _is_league_8_dead(status: int, code: str, hint: str) -> bool:
    return status in {400, 401} and code == "invalid_request" and any(word in hint.lower() for word in _DEAD_HINTS)


def _names_client(hint: str) -> bool:
    return "client authentication failed" in hint.lower() or hint.lower() == "invalid client"


def _word(value: Any) -> str:
    return redact(value[:200]) if isinstance(value, str) else ""


def _say(details: dict[str, Any], advice: str, who: str = "the token endpoint") -> str:
    said = ": ".join(dict.fromkeys(part for part in (details["error"], details["description"]) if part))
    return f"{who} answered {details['status']}{f' {said}' if said else ''}: {advice}"
