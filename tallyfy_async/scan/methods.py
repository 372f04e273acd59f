"""The HTTP method of a call in any language, by what stands around its address."""

from __future__ import annotations

import re
from typing import Final

from tallyfy_async.scan.paths import METHODS
from tallyfy_async.scan.python import verb_in

_VERBS: Final = "|".join(METHODS)
_ANY_CASE: Final = f"{_VERBS}|{_VERBS.lower()}|{_VERBS.title()}"
_WRAPPERS: Final = re.compile(
    r"(?:(?:URI(?:\.parse|\.join)?|new\s+Ur[il]|new\s+URL|Uri\.parse|URI\.create|url|fmt\.Sprintf|sprintf"
    r"|[Ss]tring\.[Ff]ormat|encodeURI|url_for|rtrim|Addressable::URI\.parse)\s*\(\s*"
    r"|[A-Za-z_$@][\w.$>:\[\]-]*(?:\(\))?\s*(?:\+|\.|&|~)\s*(?=[$@fbr]?[\"'`]?$)"
    r"|(?:[$@]|\b[fbr])?[\"'`])$"
)
_CONSTANT: Final = re.compile(rf"(?<![\w-])(?:[A-Za-z_.:]*?[.:]|\$)?(?:[Mm]ethod)?(?P<verb>{_ANY_CASE})[\"'`]?\s*,\s*$")
_PROSE: Final = re.compile(rf"(?<![\w-])[\"'`*]*(?P<verb>{_VERBS})[`*\"']*:?\s+[\"'`]?$")
_CALL: Final = re.compile(
    r"(?P<name>[A-Za-z_]\w*)(?:\.new)?[!?]?\s*(?:<[^<>()]{0,60}>)?\s*"
    r"(?:\(\s*(?:(?:url|uri|path|requestUri|endpoint)\s*[:=]\s*)?|\s(?=$))$"
)
_NAME: Final = re.compile(r"(?P<name>[A-Za-z_]\w*)[\"']?\s*(?::\s*[\w?]+\s*)?(?::?=)\s*(?:\(\s*)?$")
_OPTION: Final = re.compile(
    r"(?:[\"']?\b(?:method|type|verb|Method)[\"']?\s*(?:=>|[:=])\s*[\"'`:]?(?:HttpMethod\.|Method\.|:)?"
    rf"|CURLOPT_CUSTOMREQUEST\s*(?:,|=>)\s*[\"']|\.method\(\s*[\"']|\.(?=(?:{_VERBS}|{_VERBS.lower()})\())"
    rf"(?P<verb>{_ANY_CASE})\b"
)
_POST_OPTION: Final = re.compile(r"CURLOPT_(?:POST|POSTFIELDS)\b")
_PUT_OPTION: Final = re.compile(r"CURLOPT_PUT\b")
_CURL_FLAG: Final = re.compile(
    rf"(?:-X\s*|--request[\s=]+|--method[\s=]+|-Method\s+)[\"']?(?P<verb>{_ANY_CASE})\b", re.IGNORECASE
)
_CURL_BODY: Final = re.compile(r"\s(?:-d|--data(?:-\w+)?|--json|-F|--form|--post-data)(?=[\s=\"'])")
_CURL_OTHER: Final = ((re.compile(r"\s(?:-G|--get)\b"), "GET"), (re.compile(r"\s(?:-T|--upload-file)\b"), "PUT"))
_COMMAND: Final = re.compile(r"(?<![\w.$-])(?:curl|wget|Invoke-RestMethod|Invoke-WebRequest|iwr|irm)(?=\s)")
_COMMAND_WORDS: Final = ("curl", "wget", "Invoke-", "iwr", "irm")
_DEFAULT_GET: Final = frozenset({"fetch", "axios", "urlopen", "file_get_contents", "curl_init", "ajax", "ofetch"})
_OPTIONS: Final = frozenset(
    {"fetch", "axios", "ajax", "request", "curl_init", "ofetch", "file_get_contents", "open", "uri", "url"}
)
_WINDOW: Final = 420
_NEAR: Final = 120
_LONGEST_COMMAND: Final = 2000


def method_of(text: str, start: int, end: int) -> str | None:
    """Return the method that the address at ``start`` to ``end`` is called with, None where the text does not tell."""
    return _at(text, start, end) or _by_name(text, start, end)


def _unwrapped(before: str) -> str:
    for _ in range(4):
        shorter = _WRAPPERS.sub("", before)
        if shorter == before:
            break
        before = shorter
    return before


def _at(text: str, start: int, end: int) -> str | None:
    before = text[max(0, start - _NEAR) : start]
    prose = _PROSE.search(before)
    if prose is not None:
        return prose["verb"]
    command = _command(text, start)
    if command is not None:
        return command
    before = _unwrapped(before)
    constant = _CONSTANT.search(before)
    if constant is not None:
        return constant["verb"].upper()
    called = _CALL.search(before)
    verb = verb_in(called["name"]) if called is not None else None
    if verb is None:
        before = text[max(0, start - _WINDOW) : start - _NEAR] + before if start > _NEAR else before
    return verb or _option(before, text[end : end + _WINDOW], called["name"] if called is not None else None)


def _command(text: str, at: int) -> str | None:
    """Return the method of a command line such as curl's, with its continuation lines."""
    earliest, latest = max(0, at - _LONGEST_COMMAND), min(len(text), at + _LONGEST_COMMAND)
    if not any(text.find(word, earliest, at) >= 0 for word in _COMMAND_WORDS):
        return None
    first = text.rfind("\n", earliest, at)
    while first > earliest and _continues(text, first):
        first = text.rfind("\n", earliest, first)
    first = max(first, earliest - 1)
    last = text.find("\n", at, latest)
    while last >= 0 and _continues(text, last):
        last = text.find("\n", last + 1, latest)
    line = text[first + 1 : last if last >= 0 else latest]
    commands = [match for match in _COMMAND.finditer(line) if match.start() < at - first - 1]
    if not commands:
        return None
    line = line[commands[-1].start() :]
    flag = _CURL_FLAG.search(line)
    if flag is not None:
        return flag["verb"].upper()
    other = next((verb for pattern, verb in _CURL_OTHER if pattern.search(line)), None)
    return other or ("POST" if _CURL_BODY.search(line) else "GET")


def _continues(text: str, newline: int) -> bool:
    """Whether the line before a newline says that the command goes on in the next."""
    return text[max(0, newline - 2) : newline].rstrip("\r")[-1:] in {"\\", "`", "^"}


def _option(before: str, after: str, name: str | None) -> str | None:
    """Return the method that an option of the same statement names."""
    if name == "curl_init":
        return _php_curl(after)
    near = re.split(r";|\n\s*\n|\)\s*\n(?!\s*[.\-)])", after, maxsplit=1)[0]
    told = _OPTION.search(near) if name in _OPTIONS or name is None else None
    if told is None and name is None:
        earlier = list(_OPTION.finditer(re.split(r";|\n\s*\n|\}\s*,?\s*\n", before)[-1]))
        told = earlier[-1] if earlier else None
    if told is not None:
        return told["verb"].upper()
    return "GET" if name in _DEFAULT_GET else None


def _php_curl(after: str) -> str:
    after = after.partition("curl_init")[0]
    told = _OPTION.search(after)
    if told is not None:
        return told["verb"].upper()
    return "PUT" if _PUT_OPTION.search(after) else "POST" if _POST_OPTION.search(after) else "GET"


def _by_name(text: str, start: int, end: int) -> str | None:
    """Return the method of the first call that takes the name which the address was given."""
    named = _NAME.search(_unwrapped(text[max(0, start - _NEAR) : start]))
    if named is None:
        return None
    name = re.escape(named["name"])
    for use in list(re.finditer(rf"(?<![\w.])[$@]?{name}\b(?!\s*=[^=])", text[end : end + 3 * _WINDOW]))[:4]:
        method = _at(text, end + use.start(), end + use.end())
        if method is not None:
            return method
    return None
