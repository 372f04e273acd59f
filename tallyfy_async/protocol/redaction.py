"""Keep secrets out of logs, reprs, errors and pickles."""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, Self, SupportsIndex, cast, final

MASK: Final = "…"
"""What stands where a secret was: the same for every secret, so that it tells neither length nor tail."""


@final
class Secret:
    """A text that leaves only through :meth:`reveal`.

    It prints as ``Secret('…')``, compares in constant time, cannot be changed, and refuses to be pickled. Copies are
    the object itself.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", _str(value))

    @classmethod
    def of(cls, value: "str | Secret") -> "Secret":
        """Return the value as a Secret; a Secret is returned as it is."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the text in the clear."""
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = "a Secret cannot be changed"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        msg = "a Secret cannot be changed"
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.reveal()), _bytes(other.reveal()))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        msg = "a Secret is not pickled, because a pickle holds it in the clear: pass reveal() on where you mean to"
        raise TypeError(msg)

    def __getstate__(self) -> NoReturn:
        msg = "a Secret does not give its state away"
        raise TypeError(msg)


def _str(value: object) -> str:
    if isinstance(value, str):
        return value
    msg = f"a secret is a str, not {type(value).__name__}"
    raise TypeError(msg)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_NAMES: Final = (
    r"[\w-]*(?:access|refresh|id|personal|bearer|client|csrf|xsrf)[_-]?token|token|[\w-]*secret|[\w-]*password"
    r"|password[_-]confirmation|code|code[_-]verifier|assertion|client[_-]assertion|[\w-]*api[_-]?key"
    r"|(?:proxy-)?authorization|(?:set-)?cookie"
)
# A quoted value may be cut off: then it reaches to the end of the text. Inside a JSON text that is itself quoted, the
# quotes carry a backslash; the last form is that one.
_QUOTED: Final = (
    r"\"(?:[^\"\\]|\\.)*(?:\"|\\?$)|'(?:[^'\\]|\\.)*(?:'|\\?$)"
    r"|\\+[\"'](?:\\\\\\.|[^\\]|\\(?![\"']))*(?:\\[\"']|$)"
)
# Patterns are texts, which re compiles and keeps at their first use: most programs never show one.
_PAIR: Final = (
    rf"(?is)(?P<key>(?P<open>[\"']?)(?<![\w-])(?P<name>{_NAMES})\\*[\"']?\s*(?P<sign>[:,])\s*[bu]?)"
    rf"(?P<value>(?P<list>\[[^\]]*(?:\]|$))|(?P<quoted>{_QUOTED})|(?!(?:null|None|true|false|True|False)\b)[^\s\"',;}}\])&\\]+)"
)
_FORM: Final = rf"(?is)(?P<key>(?<![\w-])(?:{_NAMES})=)(?P<value>{_QUOTED}|[^&\s\"'#;,)\]}}]+)"
_HEADER_LINE: Final = r"(?i)(?P<key>\b(?:proxy-)?authorization\s*[:=]\s*|\b(?:set-)?cookie\s*:\s*)[^\r\n\"']+"
_SCHEME: Final = r"(?i)\b(?P<scheme>bearer|basic)(?:\s|%20|\+)+[\w.~+/=%-]+"
_JWT: Final = r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*"
# After these, a word without quotes is prose, or a header line that is masked already.
_PROSE: Final = frozenset({"token", "code", "authorization", "proxy-authorization", "cookie", "set-cookie"})
_DEEPEST: Final = 50
_ERROR_CODE: Final = r"\\*[\"'][A-Z]{2,30}(?:_[A-Z]{2,30}){1,4}\\*[\"']"


def redact(text: str) -> str:
    """Mask every secret that can be told by its place.

    Bearer and Basic credentials, JSON web tokens, and the values of token, secret, password and code keys in JSON,
    forms, query strings, reprs and header lines become ``…``, also where the text ends in the middle of one.
    Error codes such as ``"code": "RATE_LIMIT_EXCEEDED"`` stay readable.
    """
    text = re.sub(_HEADER_LINE, rf"\g<key>{MASK}", text)
    text = re.sub(_PAIR, _mask_pair, text)
    text = re.sub(_FORM, rf"\g<key>{MASK}", text)
    text = re.sub(_SCHEME, rf"\g<scheme> {MASK}", text)
    return re.sub(_JWT, MASK, text)


def _mask_pair(match: re.Match[str]) -> str:
    name = match["name"].lower()
    if name == "code" and re.fullmatch(_ERROR_CODE, match["value"]):
        return match[0]
    if match["list"] is not None:
        return f'{match["key"]}["{MASK}"]'
    if match["quoted"] is None and (match["sign"] == "," or (name in _PROSE and not match["open"])):
        return match[0]
    return f'{match["key"]}"{MASK}"'


def redact_value(value: Any, name: str = "") -> Any:
    """Return a value of a structured log for showing.

    Where its ``name`` is that of a secret, all texts in it are masked; others are redacted. Mappings and named tuples
    become dicts, sets become lists, and these and tuples are gone through; what holds itself, or is nested deeper than
    50 levels, is masked. Numbers, booleans, None, error codes, Secrets and objects of other kinds are returned as they
    are.
    """
    return _redacted(value, name, ())


def _redacted(value: Any, name: str, around: tuple[int, ...]) -> Any:
    secret = bool(name) and re.fullmatch(rf"(?i:{_NAMES})", name) is not None
    if secret and isinstance(value, str | bytes):
        return value if _is_error_code(name, value) else MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, tuple) and hasattr(cast("object", value), "_asdict"):
        value = cast("Any", value)._asdict()
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return value
    if id(cast("object", value)) in around or len(around) >= _DEEPEST:
        return MASK
    inner = (*around, id(cast("object", value)))
    if isinstance(value, Mapping):
        known = cast("Mapping[object, Any]", value)
        return {
            key: _redacted(one, key if isinstance(key, str) and not secret else name, inner)
            for key, one in known.items()
        }
    found = [_redacted(one, name, inner) for one in cast("Iterable[Any]", value)]
    return tuple(found) if isinstance(value, tuple) else found


def _is_error_code(name: str, value: str | bytes) -> bool:
    return name.lower() == "code" and isinstance(value, str) and re.fullmatch(_ERROR_CODE, f'"{value}"') is not None


_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "client-secret",
        "client_secret",
        "x-api-key",
        "password",
    }
)


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    if isinstance(headers, Mapping):
        return cast("Mapping[str, str]", headers).items()
    return headers


def redact_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers for a log: credentials and cookies masked whole, every other value redacted.

    Headers that occur several times are joined with ``, ``.
    """
    shown: dict[str, str] = {}
    for name, value in _pairs(headers):
        safe = MASK if name.lower() in _HEADERS else redact(value)
        shown[name] = f"{shown[name]}, {safe}" if name in shown else safe
    return shown
