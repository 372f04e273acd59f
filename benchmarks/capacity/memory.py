"""What a Redis server remembers, in this process and by simulated time: the commands that the fleet's scripts use.

The scripts are the package's own and run in Lua 5.1, as in the server.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from importlib import import_module
from operator import itemgetter
from typing import Any

from attrs import define, field

from benchmarks.harness import RowError


class Ranking(dict[str, float]):
    """A sorted set: the scores by the names, and both in order."""

    def __init__(self) -> None:
        super().__init__()
        self._order: list[tuple[float, str]] = []

    def put(self, name: str, score: float) -> bool:
        """Set a score; return whether the name is new."""
        new = not self.drop(name)
        self[name] = score
        insort(self._order, (score, name))
        return new

    def drop(self, name: str) -> bool:
        """Forget a name; return whether it was there."""
        score = self.pop(name, None)
        if score is not None:
            del self._order[bisect_left(self._order, (score, name))]
        return score is not None

    def between(self, low: str, high: str) -> list[tuple[float, str]]:
        """Return what lies between two scores in order, without the lower one where it begins with a parenthesis."""
        least, most = float(low.removeprefix("(")), float(high)
        begin = (bisect_right if low.startswith("(") else bisect_left)(self._order, least, key=itemgetter(0))
        return self._order[begin : bisect_right(self._order, most, key=itemgetter(0))]


def _lua() -> Any:
    try:
        return import_module("lupa.lua51").LuaRuntime(unpack_returned_tuples=True)
    except ImportError as error:
        msg = f"the scripts of the fleet run in lupa, which the group bench brings: {error}"
        raise RowError(msg) from error


@define(eq=False)
class Memory:
    """Keys and what they hold.

    Attributes:
        time: returns epoch seconds.

    """

    time: Callable[[], float]
    _keys: dict[str, dict[str, str] | Ranking] = field(factory=dict[str, "dict[str, str] | Ranking"], init=False)
    _ends: dict[str, float] = field(factory=dict[str, float], init=False)
    _lua: Any = field(factory=_lua, init=False)
    _compiled: dict[str, Any] = field(factory=dict[str, Any], init=False)

    def run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> list[int] | int:
        """Run a script and return its answer: an integer, or a list of them."""
        compiled = self._compiled.get(script)
        if compiled is None:
            text = f"return function(KEYS, ARGV, redis) {script}\nend"
            compiled = self._compiled[script] = self._lua.execute(text)
            self._lua.globals().redis = self._lua.table(call=self._call)
        table = self._lua.table_from
        answer = compiled(table(list(keys)), table([_text(value) for value in values]), self._lua.globals().redis)
        return int(answer) if isinstance(answer, int | float) else [int(one) for one in answer.values()]

    def clear(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._ends.clear()

    def _call(self, name: str, *arguments: Any) -> Any:
        words = [_text(one) for one in arguments]
        answer = getattr(self, f"_{name.lower()}")(*words)
        if answer is None:
            return False
        return self._lua.table_from(answer) if isinstance(answer, list) else answer

    def _at(self, key: str) -> Any:
        """Return what a key holds, unless its time is over."""
        if self._ends.get(key, float("inf")) <= self.time():
            self._keys.pop(key, None)
            self._ends.pop(key, None)
        return self._keys.get(key, {})

    def _ranking(self, key: str) -> Ranking:
        return self._at(key) or Ranking()

    def _made(self, key: str, kind: type[dict[str, str] | Ranking] = dict) -> Any:
        return self._at(key) or self._keys.setdefault(key, kind())

    def _time(self) -> list[str]:
        seconds, part = divmod(self.time(), 1)
        return [str(int(seconds)), str(int(part * 1e6))]

    def _hmget(self, key: str, *names: str) -> list[Any]:
        held = self._at(key)
        return [held.get(name, False) for name in names]

    def _hgetall(self, key: str) -> list[str]:
        return [word for pair in self._at(key).items() for word in pair]

    def _hset(self, key: str, *words: str) -> int:
        self._made(key).update(zip(words[::2], words[1::2], strict=True))
        return len(words) // 2

    def _hdel(self, key: str, name: str) -> int:
        return int(self._at(key).pop(name, None) is not None)

    def _zrem(self, key: str, name: str) -> int:
        return int(self._ranking(key).drop(name))

    def _zadd(self, key: str, score: str, name: str) -> int:
        return int(self._made(key, Ranking).put(name, float(score)))

    def _zscore(self, key: str, name: str) -> str | None:
        score = self._at(key).get(name)
        return None if score is None else repr(score)

    def _zcard(self, key: str) -> int:
        return len(self._at(key))

    def _zcount(self, key: str, low: str, high: str) -> int:
        return len(self._ranking(key).between(low, high))

    def _zrangebyscore(self, key: str, low: str, high: str) -> list[str]:
        return [name for _, name in self._ranking(key).between(low, high)]

    def _pexpire(self, key: str, milliseconds: str) -> int:
        if not self._at(key):
            return 0
        self._ends[key] = self.time() + float(milliseconds) / 1e3
        return 1

    def _pttl(self, key: str) -> int:
        if not self._at(key):
            return -2
        return round(1e3 * (self._ends[key] - self.time())) if key in self._ends else -1


def _text(value: Any) -> str:
    """Return a value as the server gets it: numbers of Lua are written with 17 digits."""
    if isinstance(value, float):
        return f"{value:.17g}"
    return value if isinstance(value, str) else str(value)
