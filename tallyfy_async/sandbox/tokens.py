"""Tokens as the authorization server sees them. No HTTP here; oauth.py speaks it."""

import base64
import json
import random
import secrets
from typing import Literal

from attrs import define, field

Kind = Literal["user", "application", "personal", "implicit"]
SCOPES = frozenset({"organization", "account", "template", "process"})
"""The scopes of seed 000; `*` stands for all of them."""
_LIVES: frozenset[Kind] = frozenset({"user", "application"})
"""Tokens that cost a token request; personal and implicit ones come from the browser."""


@define(kw_only=True, eq=False)
class AccessToken:
    """An issued access token. Moments are seconds since 1970."""

    value: str = field(repr=False)
    kind: Kind
    user_id: int | None
    organization: str
    client_id: str
    scopes: frozenset[str]
    expires_at: float
    revoked: bool = False
    uses: int = 0
    """API calls that were accepted with it."""

    def allows(self, scope: str) -> bool:
        """Tell whether this token may use a capability of the scope."""
        return "*" in self.scopes or scope in self.scopes

    def alive(self, now: float) -> bool:
        """Tell whether the token is good at this moment."""
        return not self.revoked and now < self.expires_at


@define(kw_only=True, eq=False)
class RefreshToken:
    """An issued refresh token and the access token it came with."""

    value: str = field(repr=False)
    access: AccessToken
    expires_at: float
    spent: bool = False


@define(kw_only=True, eq=False)
class AuthorizationCode:
    """An issued authorization code and what it was asked for."""

    value: str = field(repr=False)
    client_id: str
    redirect_uri: str
    user_id: int
    organization: str
    scopes: frozenset[str]
    challenge: str | None = field(repr=False)
    """The PKCE challenge (S256), if the request had one."""
    expires_at: float
    spent: bool = False


def jwt_like(claims: dict[str, object], rng: random.Random | None = None) -> str:
    """Make a string of the size and form of an RS256 JWT (about 1 kB). Nobody can verify it: clients see no inside."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    draw = rng.randbytes if rng else secrets.token_bytes
    header = {"typ": "JWT", "alg": "RS256"}
    body = {**claims, "jti": draw(40).hex()}
    return ".".join([part(json.dumps(header).encode()), part(json.dumps(body).encode()), part(draw(512))])


@define(kw_only=True, eq=False, repr=False)
class Vault:
    """All tokens of the sandbox: issue, find, spend, revoke."""

    access: dict[str, AccessToken] = field(factory=dict[str, AccessToken], repr=False)
    refresh: dict[str, RefreshToken] = field(factory=dict[str, RefreshToken], repr=False)
    codes: dict[str, AuthorizationCode] = field(factory=dict[str, AuthorizationCode], repr=False)
    issued: int = 0
    """Access tokens that an application asked for: issued by the token endpoint, or for one member."""

    def issue(
        self,
        kind: Kind,
        *,
        user_id: int | None,
        organization: str,
        client_id: str,
        scopes: frozenset[str],
        now: float,
        life: float,
        rng: random.Random | None = None,
    ) -> AccessToken:
        """Make an access token that lives `life` seconds from now; with `rng` the same one for the same seed."""
        claims: dict[str, object] = {"aud": client_id, "sub": str(user_id or ""), "scopes": sorted(scopes)}
        if rng is None:
            claims |= {"iat": now, "exp": now + life}
        token = AccessToken(
            value=jwt_like(claims, rng),
            kind=kind,
            user_id=user_id,
            organization=organization,
            client_id=client_id,
            scopes=scopes,
            expires_at=now + life,
        )
        self.access[token.value] = token
        self.issued += kind in _LIVES
        return token

    def issue_refresh(self, access: AccessToken, *, now: float, life: float) -> RefreshToken:
        """Make the refresh token that belongs to an access token."""
        token = RefreshToken(value="def50200" + secrets.token_hex(300), access=access, expires_at=now + life)
        self.refresh[token.value] = token
        return token

    def issue_code(
        self,
        *,
        client_id: str,
        redirect_uri: str,
        user_id: int,
        organization: str,
        scopes: frozenset[str],
        challenge: str | None,
        expires_at: float,
    ) -> AuthorizationCode:
        """Make an authorization code: an opaque blob of the size that league's encryption gives."""
        code = AuthorizationCode(
            value="def50200" + secrets.token_hex(300),
            client_id=client_id,
            redirect_uri=redirect_uri,
            user_id=user_id,
            organization=organization,
            scopes=scopes,
            challenge=challenge,
            expires_at=expires_at,
        )
        self.codes[code.value] = code
        return code

    def revoke_personal(self, user_id: int) -> int:
        """Kill the personal tokens of a user, as a logout from the web app does (seed 002); return how many died."""
        doomed = [t for t in self.access.values() if t.kind == "personal" and t.user_id == user_id and not t.revoked]
        for token in doomed:
            token.revoked = True
        return len(doomed)

    def revoke_all_access(self) -> int:
        """Kill every access token, leaving refresh tokens alone; return how many died."""
        doomed = [t for t in self.access.values() if not t.revoked]
        for token in doomed:
            token.revoked = True
        return len(doomed)

    @property
    def lives_used(self) -> int:
        """Count the lives with which at least one API call was accepted."""
        return sum(1 for t in self.access.values() if t.uses and t.kind in _LIVES)
