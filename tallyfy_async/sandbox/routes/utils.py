"""What belongs to no organization: configuration, countries, URL checks, support, forgotten passwords."""

import secrets

from tallyfy_async.sandbox import catalog, people
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.problems import Invalid, invalid
from tallyfy_async.sandbox.records import Mail
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import identity

routes = Routes()


@routes.add("GET", "/utils/config", "get_config", scope="none", context="none")
def get_config(_: Call) -> Reply:
    """Read public configuration; the shape is printed nowhere."""
    return item({"environment": "sandbox", "max_upload_size": 100, "default_timezone": "America/Chicago"})


@routes.add("GET", "/utils/countries", "list_countries", scope="none", context="any")
def list_countries(_: Call) -> Reply:
    """List the countries that country_id of members points to."""
    return item([identity.country(number) for number in range(1, len(catalog.COUNTRIES) + 1)])


@routes.add("GET", "/utils/check-url", "check_url", scope="none", context="any")
def check_url(call: Call) -> Reply:
    """Say whether a URL answers. Nothing is asked of it: example.* and *.invalid do not, everything else does."""
    url = call.query.get("url", "")
    if not url:
        raise invalid("url", "The url field is required.")
    host = people.host_of(url)
    if host is None:
        raise invalid("url", "The url format is invalid.")
    return item({"url": url, "valid": not people.dead_host(host)})


@routes.add("GET", "/support/token", "get_support_token", scope="none")
def get_support_token(_: Call) -> Reply:
    """Hand out a support token; the sandbox has no support that would take it."""
    return item({"token": secrets.token_urlsafe(32)})


@routes.add("POST", "/auth/recover-password", "recover_password", scope="account", context="none")
def recover_password(call: Call) -> Reply:
    """Mail a link to whoever asks; an unknown address gets the same answer and no mail."""
    body = call.body()
    errors = people.email_errors(body.get("email"))
    if errors:
        raise Invalid(errors)
    user = people.named(call.world, body["email"])
    if user is not None:
        call.world.mail.append(Mail(to=user.email, subject="Reset your password", at=call.now))
    return item({"message": "We have e-mailed your password reset link!"})
