from __future__ import annotations

import copy
import json
import logging
import pickle
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tallyfy_async.errors import ValidationError
from tallyfy_async.protocol.redaction import MASK, Secret, redact, redact_headers
from tallyfy_async.protocol.response import Headers, Reply, failure

CLEAR = "s3cr3t-hunter2"
KEYS = [
    "access_token",
    "refresh_token",
    "client_secret",
    "password",
    "code",
    "code_verifier",
    "id_token",
    "personal_token",
]


@attrs.frozen
class Holder:
    secret: Secret


def test_reveal_is_the_only_exit() -> None:
    secret = Secret(CLEAR)
    assert secret.reveal() == CLEAR
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", f"{secret:>40}", f"{secret} {secret!s}"]
    shown += [repr(Holder(secret)), repr(attrs.asdict(Holder(secret))), repr([secret]), f"{secret:x}"]
    record = logging.LogRecord("n", 10, "p", 1, "token %s", (secret,), None)
    for text in [*shown, record.getMessage()]:
        assert CLEAR not in text
        assert MASK in text


def test_the_mask_tells_neither_length_nor_tail() -> None:
    assert repr(Secret("")) == repr(Secret("x")) == repr(Secret(CLEAR * 9))


def test_it_is_neither_pickled_nor_dumped() -> None:
    secret = Secret(CLEAR)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled") as caught:
            pickle.dumps([secret], protocol)
        assert CLEAR not in str(caught.value)
    with pytest.raises(TypeError) as caught:
        json.dumps({"secret": secret})
    assert CLEAR not in str(caught.value)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        secret.__getstate__()


def test_copies_are_the_object_itself() -> None:
    secret = Secret(CLEAR)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret
    assert Secret.of(secret) is secret
    assert Secret.of(CLEAR) == secret


def test_it_cannot_be_changed() -> None:
    secret = Secret(CLEAR)
    with pytest.raises(AttributeError):
        secret._value = "other"
    with pytest.raises(AttributeError):
        secret.new = 1  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del secret._value
    assert secret.reveal() == CLEAR


@pytest.mark.parametrize("value", [None, 1, b"bytes", Secret("x")])
def test_it_holds_text_only(value: object) -> None:
    with pytest.raises(TypeError, match="a secret is a str"):
        Secret(value)  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_equality_and_hash_follow_the_text(one: str, two: str) -> None:
    assert (Secret(one) == Secret(two)) is (one == two)
    assert hash(Secret(one)) == hash(Secret(str(one)))
    assert Secret(one) != one


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).map(
    lambda text: "Xq7" + text + "9Zk"
)


@given(secret=SECRETS, key=st.sampled_from(KEYS), depth=st.integers(0, 2), ascii_only=st.booleans())
def test_json_values_are_masked_at_every_depth_of_quoting(
    secret: str, key: str, depth: int, *, ascii_only: bool
) -> None:
    text = json.dumps({"before": 1, key: secret, "after": "kept"}, ensure_ascii=ascii_only)
    for _ in range(depth):
        text = json.dumps({"body": text}, ensure_ascii=ascii_only)
    shown = redact(text)
    assert "Xq7" not in shown
    assert "9Zk" not in shown
    assert MASK in shown
    if depth == 0:
        assert json.loads(shown) == {"before": 1, key: MASK, "after": "kept"}


@given(SECRETS, st.sampled_from(KEYS), st.data())
def test_a_text_that_ends_inside_a_secret_is_masked_to_its_end(secret: str, key: str, data: st.DataObject) -> None:
    text = json.dumps({key: secret})
    start = text.index("Xq7")
    shown = redact(text[: data.draw(st.integers(start + 3, len(text)))])
    assert "Xq7" not in shown


@given(SECRETS, st.sampled_from(KEYS))
def test_form_and_query_values_are_masked(secret: str, key: str) -> None:
    body = urlencode({"grant_type": "password", key: secret, "scope": "*"})
    for text in (body, f"https://example.com/callback?{body}", f"https://example.com/#{body}"):
        shown = redact(text)
        assert "Xq7" not in shown
        assert "grant_type=password" in shown
        assert "scope=%2A" in shown


@given(SECRETS, st.sampled_from(KEYS))
def test_reprs_of_mappings_and_pairs_are_masked(secret: str, key: str) -> None:
    assume("'" not in secret or '"' not in secret)
    for shown in (
        redact(repr({key: secret, "x": 1})),
        redact(repr([(key, secret)])),
        redact(repr({key.encode(): secret.encode()})),
    ):
        assert "Xq7" not in shown
        assert "9Zk" not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CLEAR}",
        f"authorization=Basic {CLEAR}",
        f"Bearer  {CLEAR}",
        f"Bearer%20{CLEAR}",
        f'Headers({{"authorization": "Bearer {CLEAR}"}})',
        f"[(b'Authorization', b'Bearer {CLEAR}')]",
        f"Cookie: laravel_session={CLEAR}; other={CLEAR}",
        f"Set-Cookie: a={CLEAR}; path=/",
        f"PASSWORD: {CLEAR}",
        f'{{"password": {CLEAR}',
        f'{{"password" : "{CLEAR}"',
        f"client_secret = '{CLEAR}'".replace(" = ", "="),
        f'{{"api_key": "{CLEAR}", "x-api-key": "{CLEAR}"}}',
        f'{{"new_password": "{CLEAR}", "current_password": "{CLEAR}"}}',
    ],
)
def test_known_places(text: str) -> None:
    shown = redact(text)
    assert CLEAR not in shown
    assert MASK in shown


def test_json_web_tokens_are_masked_wherever_they_stand() -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiI0MiJ9.c2lnbmF0dXJl"
    assert redact(f"left {token} right") == f"left {MASK} right"


@pytest.mark.parametrize(
    "text",
    [
        '{"error": true, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"}',
        '{"code": "RATE_LIMIT_EXCEEDED"}',
        '{"client_id": "42", "expires_in": 3600, "token_type": "bearer"}',
        '{"refresh_token": null}',
        "the token: expired; invalid code, try again",
        "POST /oauth/token -> 401: invalid_client",
        "barcode=123&zipcode=4567",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_any_text_is_redacted_and_stays_redacted(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_headers() -> None:
    shown = redact_headers(
        [
            ("Authorization", f"Bearer {CLEAR}"),
            ("set-cookie", CLEAR),
            ("Set-Cookie", CLEAR),
            ("client-secret", CLEAR),
            ("Location", f"https://x/cb?code={CLEAR}&state=1"),
            ("X-Request-Id", "abc"),
            ("Vary", "a"),
            ("Vary", "b"),
        ]
    )
    assert CLEAR not in repr(shown)
    assert shown["X-Request-Id"] == "abc"
    assert shown["Vary"] == "a, b"
    assert shown["Location"] == f"https://x/cb?code={MASK}&state=1"
    assert redact_headers({"Accept": "application/json"}) == {"Accept": "application/json"}


def test_a_list_under_a_secret_key_is_masked_and_stays_a_list() -> None:
    text = '{"errors": {"password": ["hunter2 is too short", "x"], "name": ["required"]}}'
    assert json.loads(redact(text)) == {"errors": {"password": ["…"], "name": ["required"]}}
    assert "hunter2" not in redact('{"token": ["hunter2')
    error = failure("PUT", "/x", Reply(status=422, headers=Headers(()), content=text.encode()), 0.0)
    assert isinstance(error, ValidationError)
    assert error.fields == {"password": ["…"], "name": ["required"]}
