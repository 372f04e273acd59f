from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import errors
from tallyfy_async.errors import DecodeError, Outcome
from tallyfy_async.protocol import response
from tallyfy_async.protocol.response import (
    Headers,
    Pagination,
    Reply,
    buckets,
    decode,
    failure,
    item,
    kind_of,
    listing,
    retry_after,
)

WALL = 1_780_000_000.0  # Thu, 28 May 2026 20:26:40 GMT
JSON = st.recursive(
    # orjson makes floats of longer integers, which PHP has none of.
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
# Bodies around the keys that an error body is read by.
KEYS = st.sampled_from(["error", "errors", "message", "code", "details", "pool_type", "data"])
ERROR_BODIES = st.recursive(
    JSON, lambda inner: st.dictionaries(KEYS, inner, max_size=4) | st.lists(inner, max_size=3), max_leaves=12
)


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    """Return a reply with a JSON body, or with these bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Reply(status=status, headers=Headers(pairs), content=content)


def error_of(status: int, body: Any = None, **headers: str) -> Any:
    """Return the error of a reply to a launch."""
    return failure("POST", "/organizations/{org}/runs", reply(status, body, **headers), WALL)


UNAUTHENTICATED = {"error": True, "message": "Unauthenticated."}
NO_ENDPOINT = {"error": True, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"}
NO_RESOURCE = {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"}
NO_SEAT = {"error": {"code": "SEAT_POOL_EXHAUSTED", "message": "No seats left.", "details": {"pool_type": "full"}}}
VALIDATION = {"error": True, "errors": {"name": ["The name field is required."]}}
LARAVEL = {"message": "The given data was invalid.", "errors": {"name": ["The name field is required."]}}
HOURLY = "You've reached the hourly limit for Comments (120 per hour per organization). Please try again later."
LIMITED = {"message": HOURLY, "code": "RATE_LIMIT_EXCEEDED"}
BOT = "Bot users cannot be disabled."
INTERNAL = {"message": "SQLSTATE[42S22]: Column not found: select * from users"}

BODIES = [
    (401, UNAUTHENTICATED, errors.AuthenticationError, "Unauthenticated.", None),
    (401, {"error": True, "message": "unauthenticated"}, errors.AuthenticationError, "unauthenticated", None),
    (401, {"error": "invalid_client"}, errors.AuthenticationError, "invalid_client", None),
    (400, {"error": True, "message": BOT}, errors.BadRequestError, BOT, None),
    (403, {"message": "You may not."}, errors.PermissionDeniedError, "You may not.", None),
    (403, {"error": True, "message": "You may not."}, errors.PermissionDeniedError, "You may not.", None),
    (404, NO_ENDPOINT, errors.EndpointNotFoundError, "API endpoint not found", "ENDPOINT_NOT_FOUND"),
    (404, {"message": "API endpoint not found"}, errors.EndpointNotFoundError, "API endpoint not found", None),
    (404, NO_RESOURCE, errors.NotFoundError, "Resource not found", "RESOURCE_NOT_FOUND"),
    (409, NO_SEAT, errors.SeatPoolExhaustedError, "No seats left.", "SEAT_POOL_EXHAUSTED"),
    (409, {"message": "Taken."}, errors.ConflictError, "Taken.", None),
    (422, VALIDATION, errors.ValidationError, "The name field is required.", None),
    (422, LARAVEL, errors.ValidationError, "The given data was invalid.", None),
    (429, LIMITED, errors.RateLimitError, HOURLY, "RATE_LIMIT_EXCEEDED"),
    (429, {"message": "Too Many Attempts."}, errors.RateLimitError, "Too Many Attempts.", None),
    (500, {"message": "Server Error"}, errors.ServerError, "Server Error", None),
    (503, b"Service Unavailable", errors.ServerError, "Service Unavailable", None),
    (502, b"<html><h1>Bad Gateway</h1></html>", errors.ServerError, "the server gave no message", None),
    (504, b"", errors.ServerError, "the server gave no message", None),
    (500, INTERNAL, errors.ServerError, "internal server error (the server's own text is in .body)", None),
    (418, {"message": "teapot"}, errors.APIError, "teapot", None),
]


@pytest.mark.parametrize(("status", "body", "kind", "message", "code"), BODIES)
def test_every_printed_error_body(
    status: int, body: Any, kind: type[errors.APIError], message: str, code: str | None
) -> None:
    error = error_of(status, body, X_Request_Id="req-7")
    assert type(error) is kind
    assert (error.status, error.message, error.code) == (status, message, code)
    assert (error.method, error.path, error.request_id) == ("POST", "/organizations/{org}/runs", "req-7")
    assert str(error) == f"POST /organizations/{{org}}/runs -> {status}: {message} (req-7)"
    assert error.outcome is (Outcome.UNKNOWN if status >= 500 else Outcome.REFUSED)


@pytest.mark.parametrize(("status", "body"), [row[:2] for row in BODIES if not isinstance(row[1], bytes)])
def test_the_body_stays_at_hand(status: int, body: Any) -> None:
    assert error_of(status, body).body == body


@pytest.mark.parametrize("pool", ["full", "light"])
def test_a_seat_error_names_its_pool(pool: str) -> None:
    body = {"error": {"code": "SEAT_POOL_EXHAUSTED", "message": "None.", "details": {"pool_type": pool}}}
    assert error_of(409, body).pool_type == pool
    assert error_of(409, {"error": {"code": "SEAT_POOL_EXHAUSTED"}}).pool_type is None


@pytest.mark.parametrize(
    ("problems", "fields"),
    [
        ({"name": ["a", "b"]}, {"name": ["a", "b"]}),
        ({"name": "a"}, {"name": ["a"]}),
        ({"prerun": {"f1": ["a"], "f2": ["b"]}}, {"prerun.f1": ["a"], "prerun.f2": ["b"]}),
        ({"prerun": [{"f1": ["a"]}]}, {"prerun.0.f1": ["a"]}),
        ({"tasks.0.title": ["a"]}, {"tasks.0.title": ["a"]}),
        (["a", "b"], {"": ["a", "b"]}),
        ("a", {"": ["a"]}),
        ([], {}),
        ({"name": None, "count": 3}, {}),
        (None, {}),
    ],
)
def test_validation_errors_come_in_every_shape(problems: Any, fields: dict[str, list[str]]) -> None:
    error = error_of(422, {"error": True, "errors": problems})
    assert error.fields == fields
    assert error.message == next((texts[0] for texts in fields.values()), "the server gave no message")


def test_a_message_is_one_line_without_secrets_and_not_endless() -> None:
    error = error_of(400, {"message": "no\n  access_token=abc123secret " + "x" * 2000})
    assert "abc123secret" not in str(error)
    assert "\n" not in error.message
    assert len(error.message) == 501
    page = error_of(500, b"<html>Bearer abc123secret" + b"y" * 5000)
    assert len(page.body) <= 2000
    assert "abc123secret" not in page.body


def test_an_unknown_endpoint_hints_at_its_usual_causes() -> None:
    (note,) = error_of(404, NO_ENDPOINT).__notes__
    assert "X-Tallyfy-Client" in note
    assert not hasattr(error_of(404, NO_RESOURCE), "__notes__")


def test_a_redirect_names_its_remedy() -> None:
    error = error_of(302, b"", Location="https://evil.example")
    assert type(error) is errors.APIError
    assert "base_url" in error.message
    assert "evil" not in str(error)


@given(st.integers(400, 599), ERROR_BODIES)
def test_no_error_body_breaks_the_reading_of_it(status: int, body: Any) -> None:
    error = error_of(status, body)
    assert error.status == status
    assert isinstance(error, errors.ServerError) is (status >= 500)
    assert error.message.strip()
    assert len(error.message) <= 501
    assert error.code is None or isinstance(error.code, str)


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_an_error(status: int, content: bytes) -> None:
    assert error_of(status, content).message.strip()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        (" 2 ", 2.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 28 May 2026 20:27:40 GMT", 60.0),
        ("Thu, 28 May 2026 22:27:40 +0200", 60.0),
        ("Thu, 28 May 2026 20:27:40 -0000", 60.0),
        ("Thu, 28 May 2026 20:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("nan", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(status: int, header: str, seconds: float | None) -> None:
    assert error_of(status, LIMITED, Retry_After=header).retry_after == seconds


def test_no_retry_after_is_none() -> None:
    assert error_of(429, LIMITED).retry_after is None
    assert error_of(503, b"").retry_after is None


DATE_WORDS = st.sampled_from(["Thu,", "28", "May", "2026", "20:27:40", "GMT", "+9999", "99:99:99", "-1", "0", ",", ":"])


@given(st.text() | st.lists(DATE_WORDS, max_size=7).map(" ".join), st.floats(0, 1e10))
def test_any_retry_after_is_seconds_or_nothing(header: str, wall: float) -> None:
    seconds = retry_after({"retry-after": header}, wall)
    assert seconds is None or 0 <= seconds < float("inf")


def test_headers_are_found_in_any_case_and_joined() -> None:
    headers = Headers([("X-Request-Id", "7"), ("Via", "a"), ("VIA", "b")])
    assert headers["x-request-id"] == headers["X-REQUEST-ID"] == "7"
    assert headers.get("via") == "a, b"
    assert "nothing" not in headers
    assert (len(headers), list(headers)) == (2, ["x-request-id", "via"])
    assert "7" not in repr(headers)


@pytest.mark.parametrize(("content", "value"), [(b"", None), (b" \n", None), (b'{"a":[1]}', {"a": [1]}), (b"0", 0)])
def test_a_body_is_decoded(content: bytes, value: Any) -> None:
    assert decode(Reply(status=200, content=content)) == value


@pytest.mark.parametrize(
    "content",
    [b"<html>secret</html>", b'{"data": {"id": "sec', b"\xff\xfe{", b"[" * 200_000, b"1" * 5000, b"{'a': 1}", b"\x00"],
)
def test_what_is_no_json_is_a_decode_error_without_values(content: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(reply(200, content, Content_Type="text/html; charset=UTF-8"))
    assert caught.value.path == "body"
    assert caught.value.outcome is Outcome.DONE
    assert str(caught.value) == f"the reply is no JSON: {len(content)} bytes of text/html, status 200"
    assert caught.value.__cause__ is None


@given(JSON)
def test_json_comes_back_as_it_was_sent(value: Any) -> None:
    assert decode(reply(200, value)) == value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "number"),
        (1.5, "number"),
        ("x", "string"),
        ([], "array"),
        ({}, "object"),
    ],
)
def test_json_types_have_names(value: Any, name: str) -> None:
    assert kind_of(value) == name


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5).filter(lambda value: "data" not in value))
def test_an_item_comes_with_or_without_its_envelope(value: dict[str, Any]) -> None:
    assert item({"data": value}) == value
    assert item({"data": value, "meta": {}}) == value
    assert item(value) == value


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "body: expected object, got null"),
        ([1], "body: expected object, got array"),
        ("secret", "body: expected object, got string"),
        ({"data": [1]}, "data: expected object, got array"),
        ({"data": None}, "data: expected object, got null"),
    ],
)
def test_a_wrong_item_envelope_is_told_by_path_and_type(payload: Any, message: str) -> None:
    with pytest.raises(DecodeError, match=f"^{message}$") as caught:
        item(payload)
    assert message.startswith(caught.value.path)


PAGE = {"total": 176, "count": 100, "per_page": 100, "current_page": 1, "total_pages": 2}
KNOWN = Pagination(total=176, count=100, per_page=100, current_page=1, total_pages=2)


@pytest.mark.parametrize(
    ("links", "following"),
    [
        ([], None),
        ({}, None),
        (None, None),
        ({"next": "https://x/?page=2"}, "https://x/?page=2"),
        ({"previous": "https://x/?page=1"}, None),
        ({"prev": "https://x/?page=1", "next": None}, None),
        ("missing", None),
    ],
)
def test_links_come_in_every_spelling(links: Any, following: str | None) -> None:
    given_ = {} if links == "missing" else {"links": links}
    found = listing({"data": [1, 2], "meta": {"pagination": {**PAGE, **given_}}})
    assert found.items == [1, 2]
    assert found.pagination is not None
    assert found.pagination.next_link == following
    assert found.pagination.has_next


@pytest.mark.parametrize("meta", [None, [], {}, {"pagination": None}, {"pagination": []}, {"other": 1}])
def test_no_pagination_means_that_the_page_is_all(meta: Any) -> None:
    assert listing({"data": [], "meta": meta}).pagination is None
    assert listing({"data": []}).pagination is None


def test_numbers_may_be_texts() -> None:
    texts = {name: str(value) for name, value in PAGE.items()}
    assert listing({"data": [], "meta": {"pagination": texts}}).pagination == KNOWN


@pytest.mark.parametrize(
    ("pagination", "following"),
    [
        (Pagination(current_page=1, total_pages=2), True),
        (Pagination(current_page=2, total_pages=2), False),
        (Pagination(current_page=1, total_pages=1, next_link="https://x"), False),
        (Pagination(next_link="https://x"), True),
        (Pagination(total=5), False),
    ],
)
def test_page_numbers_go_before_links(pagination: Pagination, following: bool) -> None:
    assert pagination.has_next is following


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ([1], "body"),
        (None, "body"),
        ({}, "data"),
        ({"data": {}}, "data"),
        ({"data": "x"}, "data"),
        ({"data": [], "meta": "x"}, "meta"),
        ({"data": [], "meta": [1]}, "meta"),
        ({"data": [], "meta": {"pagination": "x"}}, "meta.pagination"),
        ({"data": [], "meta": {"pagination": {"total": -1}}}, "meta.pagination.total"),
        ({"data": [], "meta": {"pagination": {"total": True}}}, "meta.pagination.total"),
        ({"data": [], "meta": {"pagination": {"total_pages": "many"}}}, "meta.pagination.total_pages"),
        ({"data": [], "meta": {"pagination": {"current_page": [1]}}}, "meta.pagination.current_page"),
    ],
)
def test_a_wrong_list_envelope_is_told_by_its_path(payload: Any, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        listing(payload)
    assert caught.value.path == path


def test_a_search_is_a_list_a_bucket() -> None:
    payload = {"process": {"data": [1], "meta": {"pagination": PAGE}}, "blueprint": {"data": []}}
    found = buckets(payload)
    assert {name: bucket.items for name, bucket in found.items()} == {"process": [1], "blueprint": []}
    assert found["process"].pagination == KNOWN
    for wrong, path in [([], "body"), ({"task": []}, "task"), ({"task": {"data": 1}}, "task.data")]:
        with pytest.raises(DecodeError) as caught:
            buckets(wrong)
        assert caught.value.path == path


@given(JSON)
def test_any_payload_is_an_envelope_or_a_decode_error(payload: Any) -> None:
    for read in (item, listing, buckets):
        try:
            read(payload)
        except DecodeError as error:
            assert error.path in str(error)  # noqa: PT017 - either end is right


@pytest.fixture(params=["orjson", "json"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        response.fast_loads.cache_clear()
        if request.param == "json":
            patch.setitem(sys.modules, "orjson", None)
        assert (response.fast_loads() is None) == (request.param == "json")
        yield
    response.fast_loads.cache_clear()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": [1, 2.5, null, "\xc3\xa9"]}', {"a": [1, 2.5, None, "\u00e9"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": NaN}', None),
        (b"<html>", None),
        (b"[" * 100_000, None),
    ],
)
def test_json_reads_the_same_with_and_without_orjson(content: bytes, value: Any) -> None:
    reply = Reply(status=200, headers=Headers(()), content=content)
    if value is not None:
        assert decode(reply) == value
    elif b"NaN" not in content:
        with pytest.raises(DecodeError, match="no JSON"):
            decode(reply)
    else:
        assert decode(reply)["a"] != decode(reply)["a"]
