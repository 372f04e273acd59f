"""Calls of an endpoint as they are written in several languages; each style is a file of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

BASE = "https://go.tallyfy.com/api"
Style = Callable[[str, str], str]


def held(path: str, pattern: str) -> str:
    """Write the placeholders of a path template in a language's way; ``@`` is the name."""
    return re.sub(r"\{(\w+)\}", lambda match: pattern.replace("@", match[1]), path)


def joined(path: str, quote: str, plus: str, variable: str = "@") -> str:
    """Write a path as literals and names put together."""
    parts = re.split(r"\{(\w+)\}", path)
    words = [
        variable.replace("@", part) if number % 2 else f"{quote}{part}{quote}"
        for number, part in enumerate(parts)
        if part or number % 2
    ]
    return plus.join(words)


def python_fstring(method: str, path: str) -> str:
    call = f'requests.{method.lower()}(f"{{BASE}}{held(path, "{@}")}", headers=HEADERS, timeout=5)'
    names = f'BASE = "{BASE}"\nHEADERS = {{"X-Tallyfy-Client": "APIClient"}}'
    return f"import requests\n\n{names}\n\n\ndef call(**ids):\n    return {call}\n"


def python_concatenation(method: str, path: str) -> str:
    return (
        f'BASE = "{BASE}"\n\n\nasync def call(session):\n    url = BASE + {joined(path, chr(34), " + ")}\n'
        f'    async with session.request("{method}", url) as reply:\n        return await reply.json()\n'
    )


def python_format(method: str, path: str) -> str:
    return (
        f'from urllib.parse import urljoin\n\nROOT = "{BASE}/"\n\n\ndef call(client, **ids):\n'
        f'    return client.{method.lower()}(urljoin(ROOT, "{path.lstrip("/")}".format(**ids)))\n'
    )


def python_percent(method: str, path: str) -> str:
    template = held(path, "%s")
    return (
        f"# talks to Tallyfy\nclass Api:\n    def one(self, *ids):\n"
        f'        return self._request("{method}", "{template}" % ids)\n'
    )


def javascript_template(method: str, path: str) -> str:
    return (
        f'const API_BASE = "{BASE}";\n\nexport async function call(ids) {{\n'
        f"  const response = await fetch(`${{API_BASE}}{held(path, '${ids.@}')}`, {{\n"
        f'    method: "{method}",\n    headers: {{ "X-Tallyfy-Client": "APIClient" }},\n'
        f"  }});\n  return response.json();\n}}\n"
    )


def javascript_axios(method: str, path: str) -> str:
    address = f"process.env.BASE_URL + {joined(path, chr(39), ' + ', 'ids.@')}"
    return (
        f"// Tallyfy\nconst axios = require('axios');\nmodule.exports = (ids) => axios.{method.lower()}({address});\n"
    )


def typescript_object(method: str, path: str) -> str:
    return (
        f"import {{ http }} from './tallyfy';\n\nexport function call(org: string): Promise<unknown> {{\n"
        f"  return http.request({{\n    method: '{method}',\n    url: `{held(path, '${@}')}`,\n  }});\n}}\n"
    )


def php_guzzle(method: str, path: str) -> str:
    return (
        f"<?php\n// Tallyfy\nfunction call($client, $ids) {{\n"
        f"    return $client->request('{method}', $this->baseUrl . {joined(path, chr(39), ' . ', '$@')});\n}}\n"
    )


def php_curl(method: str, path: str) -> str:
    return (
        f"<?php\n$base = '{BASE}';\n$ch = curl_init(\"$base{held(path, '{$@}')}\");\n"
        f"curl_setopt($ch, CURLOPT_CUSTOMREQUEST, '{method}');\n$reply = curl_exec($ch);\n"
    )


def ruby_net_http(method: str, path: str) -> str:
    return (
        f"require 'net/http'\nBASE = '{BASE}'\nuri = URI(\"#{{BASE}}{held(path, '#{@}')}\")\n"
        f"request = Net::HTTP::{method.title()}.new(uri)\nrequest['X-Tallyfy-Client'] = 'APIClient'\n"
    )


def ruby_faraday(method: str, path: str) -> str:
    return f"# Tallyfy\nresponse = connection.{method.lower()}({joined(path, chr(39), ' + ')})\n"


def go_sprintf(method: str, path: str) -> str:
    names = re.findall(r"\{(\w+)\}", path)
    arguments = "".join(f", {name}" for name in names)
    return (
        f"package tallyfy\n\nfunc call(base string) (*http.Response, error) {{\n"
        f'\turl := fmt.Sprintf("%s{held(path, "%s")}", base{arguments})\n'
        f'\treq, err := http.NewRequest("{method}", url, nil)\n\treturn client.Do(req)\n}}\n'
    )


def go_concatenation(method: str, path: str) -> str:
    return (
        f'package tallyfy\n\nconst baseURL = "{BASE}"\n\nfunc call() {{\n'
        f"\treq, _ := http.NewRequest(http.Method{method.title()}, baseURL+{joined(path, chr(34), '+')}, nil)\n}}\n"
    )


def shell_curl(method: str, path: str) -> str:
    return (
        f"#!/bin/sh\nBASE={BASE}\ncurl -s -X {method} \\\n  -H 'X-Tallyfy-Client: APIClient' \\\n"
        f'  "$BASE{held(path, "${@}")}"\n'
    )


def shell_plain(method: str, path: str) -> str:
    flag = "" if method == "GET" else f"--request {method} "
    return f'curl {flag}{BASE}{held(path, "$@")} -H "Authorization: Bearer $TOKEN"\n'


def csharp(method: str, path: str) -> str:
    return (
        f"// Tallyfy\nvar request = new HttpRequestMessage(HttpMethod.{method.title()}, "
        f'$"{{baseUrl}}{held(path, "{@}")}");\nvar reply = await client.SendAsync(request);\n'
    )


def java(method: str, path: str) -> str:
    return (
        f"class Tallyfy {{\n  HttpRequest one(String org) {{\n    return HttpRequest.newBuilder()\n"
        f"        .uri(URI.create(BASE_URL + {joined(path, chr(34), ' + ')}))\n"
        f'        .method("{method}", BodyPublishers.noBody()).build();\n  }}\n}}\n'
    )


def markdown(method: str, path: str) -> str:
    return f"# Tallyfy\n\n- `{method} {path}` is what we call.\n"


STYLES: dict[str, Style] = {
    "fstring.py": python_fstring,
    "concatenation.py": python_concatenation,
    "format.py": python_format,
    "percent.py": python_percent,
    "template.js": javascript_template,
    "axios.js": javascript_axios,
    "object.ts": typescript_object,
    "guzzle.php": php_guzzle,
    "curl.php": php_curl,
    "net_http.rb": ruby_net_http,
    "faraday.rb": ruby_faraday,
    "sprintf.go": go_sprintf,
    "concatenation.go": go_concatenation,
    "curl.sh": shell_curl,
    "plain.sh": shell_plain,
    "csharp.cs": csharp,
    "java.java": java,
    "markdown.md": markdown,
}


def notebook(*cells: tuple[str, str]) -> str:
    """Return a notebook of (kind, source) cells."""
    rows = [
        {"cell_type": kind, "metadata": {}, "outputs": [], "source": source.splitlines(keepends=True)}
        for kind, source in cells
    ]
    return json.dumps({"cells": rows, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def postman(*requests: tuple[str, str]) -> str:
    """Return a Postman collection of (method, path template) requests, in a folder."""
    items = [
        {
            "name": f"{method} {path}",
            "request": {
                "method": method,
                "url": {
                    "raw": "{{base_url}}" + held(path, ":@"),
                    "host": ["{{base_url}}"],
                    "path": held(path, ":@").strip("/").split("/"),
                },
            },
        }
        for method, path in requests
    ]
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    return json.dumps(
        {"info": {"name": "Tallyfy", "schema": schema}, "item": [{"name": "all", "item": items}]}, indent=2
    )


def openapi_json(*operations: tuple[str, str]) -> str:
    paths: dict[str, dict[str, object]] = {}
    for method, path in operations:
        paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {"description": "OK"}}}
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Tallyfy", "version": "1"}, "paths": paths}, indent=2)


def openapi_yaml(*operations: tuple[str, str]) -> str:
    text = "openapi: 3.1.0\ninfo:\n  title: Tallyfy\n  version: '1'\npaths:\n"
    paths: dict[str, list[str]] = {}
    for method, path in operations:
        paths.setdefault(path, []).append(method.lower())
    for path, methods in paths.items():
        text += f"  {path}:\n"
        text += "".join(
            f"    {method}:\n      responses:\n        '200':\n          description: OK\n" for method in methods
        )
    return text
