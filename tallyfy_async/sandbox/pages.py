"""The pages of the authorization server: plain HTML forms that work without JavaScript, styles or cookies."""

from collections.abc import Iterable, Sequence
from html import escape

from .exchange import Reply

_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# No form-action in the policy: browsers apply it to the redirect that answers the form, too.

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Tallyfy sandbox</title>
<link rel="icon" href="data:,">
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_LOGIN = """<p><strong>{client}</strong> asks for access to your Tallyfy account.</p>
{message}<form id="login" method="post">
<input type="hidden" name="form" value="{form}">
<p><label for="email">Email</label><br>
<input id="email" name="email" type="email" value="{email}" autocomplete="username" required></p>
<p><label for="password">Password</label><br>
<input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><button id="log-in" type="submit" name="action" value="login">Log in</button>
<button id="deny" type="submit" name="action" value="deny" formnovalidate>Deny</button></p>
</form>"""
_CONSENT = """<p>You are logged in as {email}. <strong>{client}</strong> asks for access to your Tallyfy account.</p>
{message}<form id="consent" method="post">
<input type="hidden" name="form" value="{form}">
<fieldset>
<legend>Organization</legend>
{organizations}
</fieldset>
<h2>It will be able to use</h2>
<ul id="scopes">
{scopes}
</ul>
<p><button id="allow" type="submit" name="action" value="allow">Allow</button>
<button id="deny" type="submit" name="action" value="deny" formnovalidate>Deny</button></p>
</form>"""
_ORGANIZATION = (
    '<p><input id="organization-{id}" type="radio" name="organization" value="{id}" required{checked}>'
    '\n<label for="organization-{id}">{name}</label></p>'
)
_MEANINGS = {
    "organization": "organization: your organization, its users, tags and subscription",
    "account": "account: your account details, your tasks and process views",
    "template": "template: templates and steps",
    "process": "process: processes, tasks and one-off tasks",
    "*": "*: everything that you can do",
}


def _page(title: str, body: str, outcome: str, status: int = 200) -> Reply:
    text = _PAGE.format(title=escape(title), body=body)
    return Reply(
        status=status,
        body=text.encode(),
        content_type="text/html; charset=UTF-8",
        headers=_HEADERS,
        outcome=outcome,
    )


def _message(text: str | None) -> str:
    return f'<p id="message" role="alert">{escape(text)}</p>\n' if text else ""


def login(*, client: str, form: str, email: str = "", message: str | None = None, outcome: str = "login") -> Reply:
    """Ask who it is."""
    body = _LOGIN.format(client=escape(client), form=escape(form), email=escape(email), message=_message(message))
    return _page("Log in", body, outcome)


def consent(
    *,
    client: str,
    form: str,
    email: str,
    organizations: Sequence[tuple[str, str]],
    scopes: Iterable[str],
    message: str | None = None,
) -> Reply:
    """Ask for which organization and whether at all. `organizations` are ids and names, the preferred one first."""
    choices = [
        _ORGANIZATION.format(id=escape(id_), name=escape(name), checked=" checked" if number == 0 else "")
        for number, (id_, name) in enumerate(organizations)
    ]
    items = [f'<li data-scope="{escape(scope)}">{escape(_MEANINGS[scope])}</li>' for scope in sorted(scopes)]
    body = _CONSENT.format(
        client=escape(client),
        form=escape(form),
        email=escape(email),
        message=_message(message),
        organizations="\n".join(choices),
        scopes="\n".join(items),
    )
    return _page("Allow access", body, "consent")


def refusal(reason: str) -> Reply:
    """Say why nobody is sent anywhere."""
    return _page("Authorization error", f'<p id="error">{escape(reason)}</p>', "refused", 400)
