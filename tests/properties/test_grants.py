"""Whatever happens and whatever the clock does, a grant is of exactly the records of its period."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.auditors import KINDS, copied, granted, keys_of, positions, read
from support.vaults import ALICE, Clock, check, make_store
from vault.answers import AuditGrant
from vault.commands import GetSecret, SetSecret
from vault.history_commands import RotateKeys
from vault.refusals import PointsReversed
from vault.service import Vault

ACTIONS = st.one_of(
    st.sampled_from(["set", "get", "rotate"]),
    st.tuples(st.just("clock"), st.integers(-3_000_000, 3_000_000)),
    st.tuples(
        st.just("grant"),
        st.integers(-4_000_000, 1_000_000),
        st.none() | st.integers(-4_000_000, 1_000_000),
    ),
)


def _do(vault: Vault, clock: Clock, action: Any) -> AuditGrant | None:
    match action:
        case "set":
            vault.handle(ALICE, SetSecret(name="a", value="v"))
        case "get":
            vault.handle(ALICE, GetSecret(name="a"))
        case "rotate":
            vault.handle(ALICE, RotateKeys(signing=False))
        case ("clock", shift):
            clock.now += shift
        case _:
            _, since, until = action
            end = None if until is None else clock.now + until
            try:
                return granted(vault, clock.now + since, end)
            except PointsReversed:
                return None
    return None


def _in_period(vault: Vault, made: AuditGrant) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for kind in KINDS:
        with getattr(vault, kind).snapshot() as snapshot:
            found[kind] = [
                position
                for position in range(snapshot.size)
                if made.start <= snapshot.time_of(position) < made.stop
            ]
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_a_grant_opens_the_records_with_a_time_in_its_period_and_no_others(
    actions: list[Any],
) -> None:
    clock = Clock()
    with TemporaryDirectory() as place, make_store(Path(place) / "store", clock) as store:
        vault = store.create_vault(ALICE, "test-vault")
        vault.handle(ALICE, SetSecret(name="a", value="v"))
        found = [_do(vault, clock, action) for action in actions]
        _do(vault, clock, "set")
        _do(vault, clock, "get")
        copy, keys = copied(vault, Path(place) / "copy"), keys_of(vault)
        for made in filter(None, found):
            told = read(copy, made.file, keys)
            assert positions(told) == _in_period(vault, made)
        check(vault)
