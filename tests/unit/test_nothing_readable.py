"""Nothing readable at rest: no name, value, tag, content type, principal or address in any file."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.vaults import Clock, check, check_store, open_store, verify_store
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ImportSecrets,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.history_commands import ReadHistory, RotateKeys
from vault.refusals import VaultError
from vault.rule_commands import DeletePolicy, ListPolicies, SetPolicy, ShowVault, UpdateVault
from vault.store import Store

NAME = "Zq7Marker0Name0Xk2"
VALUE = "Wv9marker1value1Jt4"
TYPE = "Qb3/marker2type2Fm6"
TAG = "Hd8marker3tag3Rs1"
TAGGED = "Ly5marker4tagged4Pn0"
PRINCIPAL = "Ug2marker5principal5@Ce7"
OTHER = "Ik6marker6policy6@Ao3"
ADDRESS = "2001:db8:6d61:726b::72"
AGENT = "Xw1marker7agent7/Vz9"
REQUEST = "Tj4marker8request8-Gh5"
VAULT = "Nf0marker9vault9Yd8"
REFUSED = "Sm7marker10refused10Bl2"
MARKERS = (
    *(NAME, VALUE, TYPE, TAG, TAGGED, PRINCIPAL, OTHER),
    *(ADDRESS, AGENT, REQUEST, VAULT, REFUSED),
)

OWNER = Caller(principal=PRINCIPAL, auth="token", address=ADDRESS, agent=AGENT)
STRANGER = Caller(principal=OTHER, auth="token", address=ADDRESS, agent=AGENT)


# --- the search ---------------------------------------------------------------------------------


def base64_core(text: bytes, shift: int) -> bytes:
    """What of *text* always stands in base64 if *shift* bytes came before it in its group."""
    encoded = base64.b64encode(bytes(shift) + text)
    return encoded[2 if shift else 0 : -4][2 * bool(shift) :]


def forms(marker: str) -> Iterator[bytes]:
    """The ways in which a marker, or half of it, could lie in a file and be read."""
    half = len(marker) // 2
    for text in (marker, marker[:half], marker[half:]):
        for cased in {text, text.upper(), text.lower(), text.swapcase()}:
            yield cased.encode()
            yield cased.encode("utf-16-le")
            yield cased.encode("utf-16-be")
            yield cased.encode().hex().encode()
            yield cased.encode().hex().upper().encode()
    for text in (marker, marker.upper()):
        for shift in range(3):
            core = base64_core(text.encode(), shift)
            yield core
            yield core.replace(b"+", b"-").replace(b"/", b"_")


def readable(place: Path) -> list[str]:
    """Where in the files under *place*, or in their names, a marker stands."""
    searched = [(form, marker) for marker in MARKERS for form in forms(marker)]
    found = []
    for file in sorted(place.rglob("*")):
        texts = [os.fsencode(file.relative_to(place))]
        if file.is_file():
            texts.append(file.read_bytes())
        found += [
            f"{marker} in {file.name} as {form!r}"
            for text in texts
            for form, marker in searched
            if form in text
        ]
    return found


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize(
    "hide",
    [
        lambda text: text,
        lambda text: text.upper(),
        lambda text: text.lower(),
        lambda text: text[: len(text) // 2],
        lambda text: text.decode().encode("utf-16-le"),
        lambda text: text.decode().encode("utf-16-be"),
        lambda text: text.hex().encode(),
        lambda text: base64.b64encode(text + b"tail"),
        lambda text: base64.b64encode(b"x" + text + b"tail"),
        lambda text: base64.urlsafe_b64encode(b"xy" + text + b"tail"),
    ],
    ids=[
        "plain",
        "upper",
        "lower",
        "half",
        "utf-16-le",
        "utf-16-be",
        "hex",
        "b64",
        "b64+1",
        "b64+2",
    ],
)
def test_the_search_finds_a_marker_that_was_planted(
    tmp_path: Path, marker: str, hide: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "data.mdb").write_bytes(
        os.urandom(3000) + hide(marker.encode()) + os.urandom(3000)
    )
    assert any(marker in line for line in readable(tmp_path))


def test_the_search_finds_a_marker_in_a_file_name(tmp_path: Path) -> None:
    (tmp_path / VAULT).mkdir()
    assert readable(tmp_path)


# --- a hard life --------------------------------------------------------------------------------


def passphrase() -> bytes:
    return VALUE.encode()


def live_hard(store: Store, clock: Clock) -> None:
    """Everything that puts a marker into a store, and everything that moves bytes about in it."""
    vault = store.create_vault(OWNER, VAULT, retention_days=7)

    def do(command: Command[Any], caller: Caller = OWNER) -> object:
        return vault.handle(caller, command)

    def is_refused(command: Command[Any], caller: Caller = OWNER) -> None:
        with pytest.raises(VaultError):
            do(command, caller)

    big = VALUE * 1300
    whole: dict[str, Any] = {"content_type": TYPE, "tags": {TAG: TAGGED}}
    do(SetSecret(name=NAME, value=VALUE, **whole), Caller(**_with_request()))
    do(SetSecret(name=NAME, value=big, **whole))
    do(ImportSecrets(items=tuple(SetSecret(name=NAME + str(n), value=big) for n in range(40))))
    do(UpdateSecret(name=NAME, content_type=TYPE + "x", tags={TAG: TAGGED, TAGGED: TAG}))
    do(SetPolicy(object_id=OTHER, secrets=("get", "list")))
    do(UpdateVault(administrators=(PRINCIPAL, OTHER)))
    do(GetSecret(name=NAME))
    do(ListSecrets())
    do(ListSecretVersions(name=NAME))
    do(ListPolicies())
    do(ShowVault())
    do(ReadHistory(name=NAME))
    is_refused(DeleteSecret(name=NAME), STRANGER)
    is_refused(SetSecret(name=NAME, value=VALUE * 2000))
    is_refused(GetSecret(name=REFUSED))
    is_refused(GetSecret(name=f"{REFUSED} is no name"))
    is_refused(GetSecret(name=NAME, version=REFUSED))
    blob = vault.handle(OWNER, BackupSecret(name=NAME)).blob
    assert not [marker for marker in MARKERS for form in forms(marker) if form in blob]
    do(DeleteSecret(name=NAME))
    do(GetDeletedSecret(name=NAME))
    do(RecoverDeletedSecret(name=NAME))
    vault.rebuild()
    do(DeleteSecret(name=NAME))
    do(ListDeletedSecrets())
    do(PurgeDeletedSecret(name=NAME))
    do(RestoreSecret(blob=blob))
    do(DeleteSecret(name=NAME + "1"))
    clock.advance(days=7)
    do(RotateKeys())
    store.rotate_root_key(OWNER)
    vault.rebuild()
    do(DeletePolicy(object_id=OTHER))


def _with_request() -> dict[str, Any]:
    return {
        "principal": PRINCIPAL,
        "auth": "token",
        "address": ADDRESS,
        "agent": AGENT,
        "request": REQUEST,
    }


@pytest.fixture(params=["file", "passphrase"], scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store that has lived hard, and its root key beside it."""
    clock, tmp_path = Clock(), tmp_path_factory.mktemp("place")
    # Modes are what the store sets, not what the user's umask happens to take away.
    umask = os.umask(0)
    try:
        with Store.create(
            tmp_path / "store", provider=request.param, passphrase=passphrase, clock=clock
        ) as store:
            live_hard(store, clock)
            assert readable(tmp_path) == [], "while the store is open"
        with Store.open(tmp_path / "store", passphrase=passphrase, clock=clock) as store:
            vault = store.vault(VAULT)
            assert vault.handle(OWNER, GetSecret(name=NAME)).value == VALUE * 1300
            check(vault)
    finally:
        os.umask(umask)
    verify_store(tmp_path / "store")
    return tmp_path


def test_no_file_of_the_store_or_of_its_root_key_shows_anything(place: Path) -> None:
    assert readable(place) == []
    names = {file.name for file in place.rglob("*") if file.is_file()}
    assert {"data.mdb", "lock.mdb", "checkpoint", "store.json", "root.lock"} <= names


def test_the_store_is_its_owners_alone(place: Path) -> None:
    modes = {
        (stat.S_ISDIR(path.stat().st_mode), stat.S_IMODE(path.stat().st_mode))
        for path in place.rglob("*")
    }
    assert modes == {(True, 0o700), (False, 0o600)}


def test_the_root_key_does_not_stand_in_the_store(tmp_path: Path) -> None:
    clock = Clock()
    with Store.create(tmp_path / "store", clock=clock) as store:
        live_hard(store, clock)
    [slot] = (tmp_path / "store.key").iterdir()
    key = slot.read_bytes()[10:-32]
    assert len(key) == 32
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or key not in file.read_bytes()
    check_store(tmp_path / "store", clock)


# --- what a crash leaves ------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from pathlib import Path

import lmdb

from eventstore import keyring, log, signed_head
from vault.caller import Caller
from vault.commands import *
from vault.store import Store

home, where, name, value, tag, principal = sys.argv[1:]
me = Caller(principal=principal, auth="token")


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


store = Store.open(Path(home))
vault = store.vault()
vault.handle(me, SetSecret(name=name, value=value * 1300, tags={tag: tag}))
vault.handle(me, DeleteSecret(name=name))
if where == "before the keyring's commit":
    keyring.Keyring._end = die
elif where == "before the old root key goes":
    keyring._erase = die
elif where == "after the log's commit":
    signed_head.SignedHead.put = die
else:
    log.Append.finish = die
vault.handle(me, PurgeDeletedSecret(name=name))
"""


@pytest.mark.parametrize(
    "where",
    [
        "before the keyring's commit",
        "before the old root key goes",
        "after the log's commit",
        "before the log's commit",
    ],
)
def test_what_a_killed_process_leaves_shows_nothing(tmp_path: Path, where: str) -> None:
    home = tmp_path / "store"
    with Store.create(home) as store:
        store.create_vault(OWNER, VAULT)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, home, where, NAME, VALUE, TAG, PRINCIPAL],
        check=False,
        capture_output=True,
    )
    assert child.returncode == -9, child.stderr.decode()
    assert readable(tmp_path) == []
    with open_store(home, Clock(4_000_000_000_000_000)) as store:
        store.vault().handle(OWNER, ListSecrets())
    assert readable(tmp_path) == []
    check_store(home, Clock(4_000_000_000_000_000))
