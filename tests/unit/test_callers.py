"""Whoever asks is written down as they are, or refused and written down as far as that goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.life import Life, life_in
from vault.caller import Caller
from vault.commands import GetSecret, SetSecret


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    with life_in(tmp_path / "store") as life:
        yield life


@pytest.mark.parametrize(
    "caller",
    [
        Caller(principal="\udc80lice", auth="test"),
        Caller(principal="", auth="test"),
        Caller(principal="a\nb", auth="test"),
        Caller(principal="x" * 257, auth="test"),
        Caller(principal="alice@example.com", auth="test", request="\udc80"),
        Caller(principal="alice@example.com", auth="test", agent="x" * 1025),
    ],
    ids=["surrogate", "empty", "newline", "long", "request", "agent"],
)
def test_a_caller_that_cannot_be_written_is_refused_and_recorded(
    life: Life, caller: Caller
) -> None:
    life.set("db")
    life.refuses("principal.invalid", SetSecret(name="db", value="x"), caller)
    life.refuses("principal.invalid", GetSecret(name="db"), caller)
    assert [entry.context.outcome for entry in life.traces()] == ["principal.invalid"] * 2


def test_a_log_that_was_cut_short_is_refused_and_does_not_end_the_process(life: Life) -> None:
    for number in range(40):
        life.set(f"db-{number}", "x" * 3000)
    life.store.close()
    data = life.vault.changes.path / "data.mdb"
    whole = data.read_bytes()
    with data.open("r+b") as file:
        file.truncate(len(whole) // 2)
    with pytest.raises(Exception, match="cut short") as caught:
        life.reopen()
    assert getattr(caught.value, "code", "") == "verify.record-altered"
    data.write_bytes(whole)
    life.reopen()
    assert life.read("db-39") == "x" * 3000
