"""A process that rotates a key is killed while the provider is asked: no account is lost.

That a kill at every write of a regeneration loses nothing stands in `test_crashes`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.other_process import server
from support.storage import Place, rotate_in_another_process, storage_place
from vault.commands import GetSecret
from vault.storage_commands import GetStorageAccount

pytestmark = pytest.mark.crash


def kill_amid(place: Place, hook: str) -> None:
    """Have another process rotate, and be killed *before* or *after* the provider does it."""
    place.store.close()
    context = server()
    ours, theirs = context.Pipe()
    told = (place.home, place.home.parent / "provider.json", place.clock.now, hook, theirs)
    process = context.Process(target=rotate_in_another_process, args=told, daemon=True)
    process.start()
    theirs.close()
    assert ours.recv() == "ready"
    ours.send("go")
    process.join()
    assert process.exitcode == -9
    place.clock.advance(seconds=1)
    place.reopen()


@pytest.mark.parametrize(
    "hooks", [(), ("before",), ("after",), ("before", "after"), ("after",) * 3]
)
def test_after_any_number_of_kills_the_keys_are_those_of_the_provider(
    tmp_path: Path, hooks: tuple[str, ...]
) -> None:
    with storage_place(tmp_path / "store") as place:
        place.set_account()
        place.set_sas()
        place.clock.advance(days=91)
        for hook in hooks:
            kill_amid(place, hook)
            assert place.ask(GetStorageAccount(name="shop")).regenerating == "key2"
            assert place.ask(GetSecret(name="shop-all")).value
            place.clock.advance(seconds=121)
        assert [one.outcome for one in place.vault.rotate_due()] == ["ok"]
        account = place.ask(GetStorageAccount(name="shop"))
        assert (account.regenerating, account.active_key_name) == ("", "key2")
        with place.vault.changes.snapshot() as snapshot:
            stood = place.vault.views.reader(snapshot.transaction).storage_accounts()
            (row,) = stood
            assert snapshot.content(row.keys_at, row.key).keys == place.provider.keys
