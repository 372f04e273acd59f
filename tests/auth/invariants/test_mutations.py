"""Every safeguard of a renewal is there for a reason that some test knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.auth.invariants.mutations import MUTATIONS, Mutation, trial

pytestmark = pytest.mark.once


def test_unchanged_copy_passes() -> None:
    assert trial(None) is None


@pytest.mark.parametrize("lost", list(MUTATIONS))
def test_loss_is_noticed(lost: str) -> None:
    assert trial(MUTATIONS[lost]) is not None, f"no test misses this: {lost}"


def test_pattern_that_is_gone_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("if late:\nif late:\n")
    for pattern in ("if early:", "if late:"):
        with pytest.raises(LookupError, match="not once"):
            Mutation(module="one.py", pattern=pattern, instead="").apply(tmp_path)
