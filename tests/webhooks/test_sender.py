"""Who may send: the header, and secrets in the path, the query or basic authentication."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.webhooks import SenderCheck, WebhookError
from tests.webhooks.samples import ORGANIZATION, OTHER

SECRET = "s3cret-of-the-address"


def header(value: str = ORGANIZATION) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"x-tallyfy-orgid", value.encode())]


def basic(password: str, user: str = "tallyfy") -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def refused(check: SenderCheck, **request: Any) -> tuple[str, int]:
    with pytest.raises(WebhookError) as caught:
        check.verify(**{"headers": header(), **request})
    assert SECRET not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).kind == caught.value.kind
    return caught.value.kind, caught.value.status


def test_the_header_names_the_organization() -> None:
    check = SenderCheck([OTHER, ORGANIZATION])
    assert check.verify(headers=header()) == ORGANIZATION
    assert check.verify(headers=header(OTHER)) == OTHER
    for wrong in (
        [],
        header("")[1:],
        header(ORGANIZATION[:-1]),
        header(ORGANIZATION.upper()),
        header("ü"),
        header() * 2,
    ):
        assert refused(check, headers=wrong) == ("organization", 403)


def test_a_secret_in_the_path() -> None:
    check = SenderCheck(ORGANIZATION, secret=SECRET)
    for path in (f"/hooks/{SECRET}", f"/hooks/{SECRET}/", f"/{SECRET}"):
        assert check.verify(headers=header(), path=path) == ORGANIZATION
    for path in ("", "/", "/hooks/", f"/hooks/{SECRET}x", f"/hooks/{SECRET}/more", f"/hooks/{SECRET[:-1]}"):
        assert refused(check, path=path) == ("secret", 401)


def test_a_secret_in_the_query() -> None:
    check = SenderCheck(ORGANIZATION, secret=SECRET, secret_in="query", parameter="key")
    assert check.verify(headers=header(), query=f"a=1&key={SECRET}".encode()) == ORGANIZATION
    for query in (b"", b"key=", f"secret={SECRET}".encode(), b"key=\xff%ff"):
        assert refused(check, query=query) == ("secret", 401)


def test_a_secret_in_basic_authentication() -> None:
    check = SenderCheck(ORGANIZATION, secret=SECRET, secret_in="basic")
    assert check.verify(headers=[*header(), basic(SECRET)]) == ORGANIZATION
    assert check.verify(headers=[*header(), basic(SECRET, user="")]) == ORGANIZATION
    wrong = (basic("x"), (b"authorization", b"Bearer x"), (b"authorization", b"Basic ===="), (b"authorization", b""))
    odd = (b"\xff\xfe", "ü".encode(), base64.b64encode(b"\xff"))
    for one in (*wrong, *((b"authorization", b"Basic " + text) for text in odd)):
        assert refused(check, headers=[*header(), one]) == ("secret", 401)


def test_several_secrets_while_one_is_replaced() -> None:
    check = SenderCheck(ORGANIZATION, secret=["old", "new"])
    assert check.verify(headers=header(), path="/old") == check.verify(headers=header(), path="/new") == ORGANIZATION
    assert refused(check, path="/other") == ("secret", 401)


def test_the_header_may_be_absent_only_with_a_secret() -> None:
    check = SenderCheck(ORGANIZATION, secret=SECRET, header_required=False)
    assert check.verify(headers=[], path=f"/{SECRET}") == ORGANIZATION
    assert refused(check, headers=header(OTHER), path=f"/{SECRET}") == ("organization", 403)
    assert refused(check, headers=[], path="/") == ("secret", 401)


@pytest.mark.parametrize(
    "arguments",
    [
        {"organizations": []},
        {"organizations": None},
        {"organizations": [5]},
        {"organizations": ""},
        {"organizations": [ORGANIZATION, ""]},
        {"organizations": ORGANIZATION, "secret": ""},
        {"organizations": ORGANIZATION, "secret": []},
        {"organizations": ORGANIZATION, "secret": ["a", ""]},
        {"organizations": ORGANIZATION, "secret": "a/b"},
        {"organizations": ORGANIZATION, "secret": "a", "secret_in": "header"},
        {"organizations": ORGANIZATION, "header_required": False},
        {"organizations": [ORGANIZATION, OTHER], "secret": "a", "header_required": False},
    ],
)
def test_arguments_that_cannot_work(arguments: Any) -> None:
    with pytest.raises(ConfigurationError):
        SenderCheck(**arguments)


def test_no_secret_is_shown() -> None:
    check = SenderCheck(ORGANIZATION, secret=SECRET)
    assert SECRET not in repr(check)
    assert SECRET not in str(vars(check))
