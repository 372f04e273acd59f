"""The short form of ``python -m benchmarks chaos``."""

from __future__ import annotations

import json

import pytest

from benchmarks.fleet import chaos
from benchmarks.fleet.chaos import Findings, Trial


@pytest.mark.once
def test_chaos_loses_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found = chaos.run(Trial(tasks=1500, workers=2, kill_every=0.5, most_kills=1, cap=2000, life=20.0, weather="some"))
    assert found.problems() == []
    assert (found.arrived, found.expected, found.kills) == (1500, 1500, 1)
    assert found.calls >= 1500 / 20


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lost": 1}, "missing"),
        ({"doubles": 2}, "twice"),
        ({"busiest": 11}, "the cap is 10"),
        ({"busiest": 6, "seconds": 121.0}, "near the cap"),
        ({"reuses": 1}, "sent again"),
        ({"token_requests": 9}, "tokens for"),
    ],
)
def test_what_is_wrong_is_told(
    changes: dict[str, float], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {
        "seconds": 1.0, "exports": 1, "errors": {}, "kills": 2, "kill_interval": 4.0, "expected": 5, "arrived": 5,
        "lost": 0, "doubles": 0, "calls": 10, "busiest": 10, "cap": 10, "faults": 0, "token_requests": 5, "lives": 5,
        "reuses": 0,
    }  # fmt: skip
    asked: list[Trial] = []

    def run(trial: Trial) -> Findings:
        asked.append(trial)
        return Findings(**{**good, **changes})  # type: ignore[arg-type]

    assert Findings(**good).problems() == []  # type: ignore[arg-type]
    monkeypatch.setattr(chaos, "run", run)
    assert chaos.main(["--tasks", "70", "--kill-every", "1.5"]) == 1
    assert (asked[0].tasks, asked[0].kill_every, asked[0].workers) == (70, 1.5, 4)
    said, wrong = capsys.readouterr()
    assert json.loads(said)["expected"] == 5
    assert words in wrong
