"""Single lines that are easily taken for something else."""

# ruff: noqa: E501 - one case stays in one piece
from __future__ import annotations

import pytest

from tallyfy_async.scan.source import Source
from tallyfy_async.scan.tree import findings_of

CASES: list[tuple[str, str, list[str]]] = [
    ("a.py", '# tallyfy\nrequests.get("https://api.github.com/organizations", timeout=1)', []),
    ("a.py", '# tallyfy\nGITHUB="https://api.github.com"\nrequests.get(f"{GITHUB}/organizations")', []),
    (
        "a.py",
        '# tallyfy\nrequests.get("https://go.tallyfy.com/api/organizations", headers={"X-Tallyfy-Client":"APIClient"})',
        ["TFY011"],
    ),
    (
        "a.py",
        '# tallyfy\nORGS="https://go.tallyfy.com/api/organizations"\ndef f(o):\n    return get(f"{ORGS}/{o}/runs")',
        [],
    ),
    (
        "a.py",
        '# tallyfy\nORGS="https://go.tallyfy.com/api/organizations"\ndef f(o):\n    return client.get(ORGS)',
        ["TFY011"],
    ),
    ("a.py", '# tallyfy\nx = data.get("token"); y = os.environ.get("organizations"); z=data["countries"]', []),
    ("a.py", '# tallyfy\n@app.get("/token")\ndef f(): pass', []),
    ("a.py", '# tallyfy\nOAUTH="https://go.tallyfy.com/api/oauth"\nrequests.post(f"{OAUTH}/token", data=d)', []),
    ("a.py", '# tallyfy\nOAUTH="https://go.tallyfy.com/api/oauth"\nrequests.get(OAUTH + "/token")', []),
    ("a.py", '# tallyfy\ndef f(base, email): return client.get(f"{base}/applications/{org}/users/{email}/token")', []),
    (
        "a.py",
        '# tallyfy\ndef f(self):\n    url = self.base_url\n    url += "/organizations/"\n    url += self.org\n    url += "/users/me"\n    return self.session.get(url)',
        ["TFY005"],
    ),
    (
        "a.py",
        '# tallyfy\nclass C:\n    ME = "/organizations/{org}/users/me"\n    def f(self, org): return self.http.put(self.ME.format(org=org))',
        ["TFY005"],
    ),
    (
        "a.py",
        '# tallyfy\nhttpx.Client(base_url="https://go.tallyfy.com/api", headers={"X-Tallyfy-Client":"APIClient"}).get("/countries")',
        ["TFY002"],
    ),
    ("a.py", '# tallyfy\nurl = URL(BASE_URL) / "organizations" / org / "role"\nawait client.get(url)', ["TFY009"]),
    ("a.py", '# tallyfy\n"""GET /organizations/{org}/role in a docstring"""', []),
    ("a.py", '# tallyfy\nlog.info("the path /organizations/%s/role is old", org)', []),
    ("a.py", '# tallyfy\nrequests.put(base_url + "/organizations/" + org + "/billing-info", json={})', []),
    ("a.py", '# tallyfy\nrequests.get(base_url + "/organizations/" + org + "/billing-info")', ["TFY019"]),
    ("a.py", '# tallyfy\npath = "/organizations/%s/billing-info" % org', []),
    ("a.py", '# tallyfy\nRequest("PUT", f"{base}/organizations/{o}/checklists/{c}/activate")', ["TFY040"]),
    ("a.py", '# tallyfy\nurlopen("https://go.tallyfy.com/api/url-check")', ["TFY101", "TFY001"]),
    ("a.py", '# tallyfy\ncall = {"method": "PUT", "url": f"/organizations/{org}/accounts"}', ["TFY010"]),
    (
        "a.py",
        '# tallyfy\nfor m, p in [("GET", "/organizations/{org}/users/me"), ("DELETE", "/organizations/{org}/users/me")]: pass',
        ["TFY005"],
    ),
    (
        "a.py",
        '# tallyfy\nrequests.post("https://go.tallyfy.com/api/auth/login", json={"email": e})',
        ["TFY102", "TFY022"],
    ),
    (
        "a.py",
        '# tallyfy\nrequests.get("https://go.tallyfy.com/api/me", headers={"Authorization": f"Bearer {t}"})',
        ["TFY101"],
    ),
    ("a.py", '# tallyfy\nrequests.get("https://go.tallyfy.com/api/me")', ["TFY101"]),
    (
        "a.py",
        '# tallyfy\nH = {"X-Tallyfy-Client": "APIClient"}\nrequests.get("https://go.tallyfy.com/api/me", headers=H)',
        [],
    ),
    ("a.py", '# tallyfy\nrequests.get("https://go.tallyfy.com/api/me", headers=headers())', []),
    (
        "a.py",
        '# tallyfy\ns = requests.Session()\ns.headers["X-Tallyfy-Client"] = "APIClient"\ns.get("https://go.tallyfy.com/api/me")',
        [],
    ),
    ("a.py", '# tallyfy\ns = requests.Session()\ns.get("https://go.tallyfy.com/api/me")', ["TFY101"]),
    ("a.py", '# tallyfy\nrequests.post("https://go.tallyfy.com/api/oauth/token", data=d)', []),
    ("a.py", "# nothing\nrequests.get(BASE_URL + '/countries')", []),
    ("a.py", "# nothing\nrequests.get(BASE_URL + '/organizations/' + o + '/role')", ["TFY009"]),
    ("a.py", "# tallyfy py2\nprint 'x'\nrequests.get(BASE_URL + '/organizations/' + o + '/role')", ["TFY009"]),
    ("a.py", '# tallyfy\nif path == "/token" or path.startswith("/organizations"): pass', []),
    ("a.py", '# tallyfy\npath("organizations/<str:org>/comments", view)', []),
    (
        "a.py",
        '# tallyfy\nasync with aiohttp.ClientSession(base_url) as s:\n    async with s.get(f"/organizations/{o}/users/me/preferences") as r: pass',
        ["TFY006"],
    ),
    ("a.py", '# tallyfy\nx = f"{BASE}/organizations/{org}/checklists/{c}" + "/import-steps"', ["TFY013"]),
    ("a.py", '# tallyfy\n"/".join([BASE, "organizations", org, "permissions"])', ["TFY020"]),
    ("a.py", '# tallyfy\nclient.get("/organizations/" + org + "/users/" + ("me" if x else y))', []),
    ("a.js", '// tallyfy\nfetch("https://api.github.com/organizations")', []),
    ("a.js", '// tallyfy\nconst GITHUB = "https://api.github.com";\nfetch(GITHUB + "/organizations")', []),
    ("a.js", '// tallyfy\nconst ORGS = "https://go.tallyfy.com/api/organizations";\nfetch(`${ORGS}/${id}/runs`)', []),
    ("a.js", '// tallyfy\nconst ORGS = "https://go.tallyfy.com/api/organizations";\nfetch(ORGS)', ["TFY011"]),
    ("a.js", "// tallyfy\nfetch(`${API_URL}/organizations`)", ["TFY011"]),
    ("a.js", '// tallyfy\nfetch(`${API_URL}/organizations`, {method: "POST"})', []),
    ("a.js", '// tallyfy\napp.get("/organizations", (req, res) => {})', []),
    ("a.js", "// tallyfy\naxios.get(`${base}/users/${email}/token`)", []),
    ("a.js", '// tallyfy\naxios.get("/organizations/" + org + "/users/" + id)', []),
    ("a.js", '// tallyfy\naxios.get("/organizations/" + org + "/users/me".concat(""))', ["TFY005"]),
    ("a.js", '// tallyfy\naxios.get("/organizations/" + encodeURIComponent(cfg["org"]) +\n  "/role")', ["TFY009"]),
    ("a.js", '// tallyfy\naxios({ method: "put", url: "/organizations/" + org + "/accounts" })', ["TFY010"]),
    (
        "a.js",
        "// tallyfy\naxios.put(`/organizations/${org}/billing-info`)\naxios.get(`/organizations/${org}/billing-info`)",
        ["TFY019"],
    ),
    ("a.js", "// tallyfy\nconst re = /\\/organizations\\/(\\d+)\\/role/;", []),
    (
        "a.js",
        '// tallyfy\nimport x from "./organizations"; import y from "../token"; import z from "/organizations"',
        [],
    ),
    ("a.js", '// tallyfy\nlocalStorage.getItem("token"); const organizations = []; state.organizations.map(x)', []),
    ("a.js", '// tallyfy\n$.ajax({type: "GET", url: base + "/countries", success: f})', ["TFY002"]),
    (
        "a.js",
        '// tallyfy\nfetch(base + "/auth/login", {method: "POST", body: JSON.stringify(x)})',
        ["TFY022", "TFY102"],
    ),
    ("a.js", '// tallyfy\nrouter.push("/auth/login")', []),
    ("a.md", "Tallyfy: see [docs](https://example.com/organizations) and /organizations/{org}/role.", ["TFY009"]),
    ("a.sh", "// tallyfy\ncurl -d @x $BASE/organizations/$ORG/comments", ["TFY031"]),
    ("a.sh", "// tallyfy\ncurl 'https://go.tallyfy.com/api/organizations/'\"$ORG\"'/users/me' -H x", ["TFY005"]),
    ("a.sh", "// tallyfy\ncurl https://go.tallyfy.com/api/organizations", ["TFY011"]),
    ("a.sh", "// tallyfy\ncurl -X POST https://go.tallyfy.com/api/token -d a=b", []),
    ("a.rb", "// tallyfy\nget '/organizations/:org/comments', to: 'comments#index'", []),
    ("a.php", "<?php // tallyfy\nRoute::get('/organizations/{org}/comments', [C::class, 'index']);", []),
    ("a.php", "<?php // tallyfy\n$u = $this->base.'/organizations/'.$org.'/role';\n$c->get($u);", ["TFY009"]),
    ("a.php", '<?php // tallyfy\nHttp::withToken($t)->get("{$base}/organizations/{$org}/role");', ["TFY009"]),
    ("a.go", '// tallyfy\nhttp.HandleFunc("/organizations/x/comments", h)', []),
    (
        "a.go",
        '// tallyfy\nresp, err := http.Get(base + "/token")\nreq, _ := http.NewRequest("POST", base+"/token", nil)',
        ["TFY004"],
    ),
    ("a.yml", "# tallyfy\nurl: https://go.tallyfy.com/api/url-check\n", ["TFY001"]),
]
SECRETS: list[tuple[str, str, list[str]]] = [
    ("a.py", '# tallyfy\nclient_secret = "a8f5f167f44f4964e6c998dee827110c"', ["TFY103"]),
    (
        "a.py",
        '# tallyfy\nclient_secret = os.environ["TALLYFY_CLIENT_SECRET"]; password = get_password(); token_type = "Bearer"',
        [],
    ),
    ("a.py", '# tallyfy\nclient_secret = "YOUR_CLIENT_SECRET"; password = "<password>"; password="changeme123"', []),
    (".env", "TALLYFY_CLIENT_SECRET=a8f5f167f44f4964e6c998dee827110c\n", ["TFY103"]),
    ("a.py", '# tallyfy\nh = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc123"}', ["TFY103"]),
    (
        "a.sh",
        "# tallyfy\ncurl -d client_secret=a8f5f167f44f4964e6c998dee827110c https://go.tallyfy.com/api/oauth/token",
        ["TFY103"],
    ),
    ("a.js", '// tallyfy\nconst password = "hunter2!x"; const password = values.password1;', ["TFY103"]),
    ("a.html", '// tallyfy\n<input type="password" name="password" placeholder="Password">', []),
]


def rules(name: str, text: str) -> list[str]:
    return sorted(one.rule for one in findings_of(name, Source(text=text)))


@pytest.mark.parametrize(("name", "text", "expected"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_what_is_found(name: str, text: str, expected: list[str]) -> None:
    assert rules(name, text) == sorted(expected)


@pytest.mark.parametrize(("name", "text", "expected"), SECRETS, ids=[str(number) for number in range(len(SECRETS))])
def test_secrets(name: str, text: str, expected: list[str]) -> None:
    findings = findings_of(name, Source(text=text))
    assert [one.rule for one in findings] == expected
    for value in ("a8f5f167f44f", "hunter2", "eyJhbG"):
        assert not [one for one in findings if value in repr(one) + one.message]


def test_a_secret_far_from_tallyfy_is_not_ours() -> None:
    text = 'password = "hunter2!x"\n' + "#\n" * 5000 + "# tallyfy\n"
    assert rules("a.py", text) == []
    assert rules("a.py", text + 'password = "hunter2!x"\n') == ["TFY103"]


def test_a_line_can_be_left_out() -> None:
    text = '# tallyfy\nclient.get("/countries")\nclient.get("/url-check")  # tallyfy: ignore\n'
    assert rules("a.py", text) == ["TFY002"]


def test_a_file_that_is_named_needs_no_mention_of_tallyfy() -> None:
    source = Source(text='client.get(BASE + "/countries")\n')
    assert findings_of("a.py", source) == []
    assert [one.rule for one in findings_of("a.py", source, named=True)] == ["TFY002"]


def test_columns_count_characters() -> None:
    text = '# tallyfy\nname = "äöü€😀"; client.get("/countries")\n'
    (finding,) = findings_of("a.py", Source(text=text))
    assert (finding.line, finding.column) == (2, text.splitlines()[1].index('"/countries') + 1)
    assert [text[edit.start : edit.end] for edit in finding.edits] == ["countries"]
