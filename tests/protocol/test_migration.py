from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

import tallyfy_async
from tallyfy_async.errors import EndpointRemovedError, EndpointRenamedError
from tallyfy_async.protocol.migration import ADDED, MIGRATIONS, Kind, Migration, find, refuse

CONTRACT = pathlib.Path(tallyfy_async.__file__).with_name("sandbox") / "openapi.json"
ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Seed 000 in its own words and order: methods, old path, new path. "ANY" where it names no method.
SEED = """
GET /url-check > /utils/check-url
GET /countries > /utils/countries
GET /p/static/config > /utils/config
GET /token > /support/token
GET/PUT /organizations/{org}/users/me > /organizations/{org}/me
GET/POST /organizations/{org}/users/me/preferences > /organizations/{org}/me/preferences
GET/POST /organizations/{org}/accounts/views > /organizations/{org}/me/process-views
GET/PUT /organizations/{org}/accounts/views/{id} > /organizations/{org}/me/process-views/{id}
GET /organizations/{org}/role > /organizations/{org}/me/role
PUT /organizations/{org}/accounts > /organizations/{org}/me
GET /organizations > /me/organizations
PUT /organizations/{org}/accounts/{id} > /organizations/{org}/users/{id}
ANY /organizations/{org}/checklists/{checklist_id}/import-steps
ANY /organizations/{org}/checklists/import
ANY /organizations/{org}/steps/{step_id}/copy
GET organizations/{org}/integrations/{type}
POST organizations/{org}/integrations/{type}
PUT organizations/{org}/integrations/{type}
GET /organizations/{org}/billing-info > /organizations/{org}?with=billing_info
ANY /organizations/{org}/permissions
GET /organizations/{org}/users/username/{username}
ANY /auth/login > /oauth/token
ANY /auth/check-reset-code
ANY /auth/reset-password-from-account
ANY /auth/resend-activation
GET/POST /organizations/{org}/guests/tasks/{code}/comments
ANY /webhooks/start-run
ANY /webhooks/post-comment
ANY /zapier/api/hooks
ANY /zapier/api/hooks/{id}
GET/POST/PUT/DELETE /organizations/{org}/comments
GET /organizations/{org}/runs/{run}/activities
GET /organizations/{org}/checklists/{checklist}/activities
GET /organizations/{org}/steps/{step}/activities
GET /organizations/{org}/runs/{runs}/tasks/{task}/activities
GET /organizations/{org}/comments/{comment}/activities
GET /organizations/{org}/users/{user}/activities
ANY /organizations/{org}/integrations/hotdocs-package
ANY /organizations/{org}/integrations/hotdocssession
PUT /organizations/{org}/checklists/{id}/activate > /organizations/{org}/checklists/{id}/restore
""".strip().splitlines()


def parts(line: str) -> tuple[tuple[str, ...], str, str | None]:
    methods, _, rest = line.partition(" ")
    old, _, new = rest.partition(" > ")
    return () if methods == "ANY" else tuple(methods.split("/")), "/" + old.lstrip("/"), new or None


def concrete(path: str) -> str:
    return "/".join("53a4560dc877f9b4f709f97630efbb5a" if part.startswith("{") else part for part in path.split("/"))


ROWS = list(zip(MIGRATIONS, SEED, strict=True))


@pytest.mark.parametrize(("row", "line"), ROWS, ids=[str(row.row) for row in MIGRATIONS])
def test_every_row_of_the_seed_is_refused(row: Migration, line: str) -> None:
    methods, old, new = parts(line)
    assert (row.methods, row.path) == (methods, old)
    assert row.row == MIGRATIONS.index(row) + 1
    for method in methods or ALL_METHODS:
        for path in (old, concrete(old), old.lstrip("/"), concrete(old) + "/?with=x"):
            found = find(method.lower(), path)
            assert found is not None
            assert found.path == row.path
            error = EndpointRenamedError if row.kind is Kind.RENAMED else EndpointRemovedError
            with pytest.raises(error) as caught:
                refuse(method, path)
            assert method in str(caught.value)
            assert old in str(caught.value)
            assert (caught.value.replacement is None) is (new is None)
            if new is not None:
                assert str(caught.value.replacement).endswith(f" {new}")
                assert str(caught.value.replacement) in str(caught.value)


def test_the_counts_of_the_seed() -> None:
    kinds = [row.kind for row in MIGRATIONS]
    assert kinds.count(Kind.RENAMED) == 12
    assert kinds.count(Kind.REMOVED) + kinds.count(Kind.REPLACED) == 28
    assert [added.path for added in ADDED] == ["/oauth/token", "/oauth/token/refresh"]


@pytest.mark.parametrize(
    ("method", "path", "row"),
    [
        ("GET", "/organizations/1/users/me", 5),
        ("HEAD", "/organizations/1/users/me", 5),
        ("DELETE", "/organizations/1/users/me", None),
        ("GET", "/organizations/1/users/123", None),
        ("GET", "/organizations/1/users/m%65", 5),
        ("GET", "/organizations/1", None),
        ("POST", "/organizations", None),
        ("PUT", "/organizations/1/billing-info", None),
        ("GET", "/organizations/1/billing-info", 19),
        ("GET", "/organizations/1/integrations/slack", 16),
        ("PUT", "/organizations/1/integrations/slack", 18),
        ("DELETE", "/organizations/1/integrations/slack", None),
        ("GET", "/organizations/1/integrations/hotdocs-package", 38),
        ("DELETE", "/organizations/1/integrations/hotdocssession", 39),
        ("GET", "/organizations/1/checklists/import", 14),
        ("GET", "/organizations/1/checklists/importer", None),
        ("PUT", "/organizations/1/accounts", 10),
        ("PUT", "/organizations/1/accounts/7", 12),
        ("GET", "/organizations/1/accounts/views/7", 8),
        ("PUT", "/organizations/1/runs/2/activate", None),
        ("PUT", "/organizations/1/checklists/2/activate", 40),
        ("GET", "", None),
        ("GET", "/", None),
    ],
)
def test_find(method: str, path: str, row: int | None) -> None:
    found = find(method, path)
    assert (found and found.row) == row


def test_the_replacement_names_the_method_that_was_called() -> None:
    for method in ("GET", "PUT"):
        with pytest.raises(EndpointRenamedError) as caught:
            refuse(method, "/organizations/1/users/me")
        assert caught.value.replacement == f"{method} /organizations/{{org}}/me"
    with pytest.raises(EndpointRemovedError) as removed:
        refuse("PATCH", "/auth/login")
    assert removed.value.replacement == "POST /oauth/token"


def test_a_removed_endpoint_without_replacement_gives_the_nearest_thing() -> None:
    with pytest.raises(EndpointRemovedError, match=r"nearest today is POST /organizations/\{org\}/runs"):
        refuse("POST", "webhooks/start-run")
    with pytest.raises(EndpointRemovedError, match="without replacement"):
        refuse("POST", "auth/check-reset-code")


def operations() -> list[tuple[str, str]]:
    contract: dict[str, Any] = json.loads(CONTRACT.read_bytes())
    return [
        (method, path) for path, item in contract["paths"].items() for method in item if method.upper() in ALL_METHODS
    ]


def test_no_operation_of_the_contract_is_refused() -> None:
    found = operations()
    assert len(found) > 200
    for method, path in found:
        refuse(method.upper(), path)
        refuse(method.upper(), concrete(path))


def test_every_replacement_of_the_seed_but_the_token_endpoint_is_in_the_contract() -> None:
    known = operations()
    for row in MIGRATIONS:
        if row.replacement_path is not None:
            segments = row.replacement_path.split("/")
            for method in row.replacement_methods:
                matches = [
                    path
                    for verb, path in known
                    if verb.upper() == method
                    and len(path.split("/")) == len(segments)
                    and all(
                        a == b or (a[:1] == "{" and b[:1] == "{")
                        for a, b in zip(path.split("/"), segments, strict=True)
                    )
                ]
                assert matches, (method, row.replacement_path)
