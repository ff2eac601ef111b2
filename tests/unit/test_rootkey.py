"""A slot is read whole or not at all, by its owner only, and is gone once destroyed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.errors import (
    FormatUnknown,
    MunimentError,
    RootKeyDamaged,
    RootKeyExists,
    RootKeyExposed,
    RootKeyMissing,
    RootKeyWrong,
    StoreLocked,
)
from eventstore.rootkey import RFC9106_SECOND, FileRootKey, PassphraseRootKey, RootKey
from support.keyrings import CHEAP

KEY = bytes(range(32))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(params=["file", "passphrase"])
def root(request: pytest.FixtureRequest, place: Path) -> RootKey:
    if request.param == "file":
        return FileRootKey(place)
    return PassphraseRootKey(place, b"correct horse", CHEAP)


def again(root: RootKey, place: Path) -> RootKey:
    """The same provider, as another process would open it."""
    if isinstance(root, FileRootKey):
        return FileRootKey(place)
    return PassphraseRootKey(place, b"correct horse", CHEAP)


def framed(kind: int, body: bytes, version: int = 1) -> bytes:
    head = b"MUNIROOT" + bytes([version, kind]) + body
    return head + hashlib.sha256(head).digest()


def plant(place: Path, text: bytes) -> None:
    place.mkdir(mode=0o700, exist_ok=True)
    (place / "slot-0").write_bytes(text)
    (place / "slot-0").chmod(0o600)


# --- both providers -----------------------------------------------------------------------------


def test_a_key_written_is_read_back_in_another_process(root: RootKey, place: Path) -> None:
    assert root.read(0) is None
    root.write(1, KEY)
    assert root.read(0) is None
    assert root.read(1) == again(root, place).read(1) == KEY


def test_a_slot_in_use_is_not_written_over(root: RootKey) -> None:
    root.write(0, KEY)
    with pytest.raises(RootKeyExists):
        root.write(0, bytes(32))
    assert root.read(0) == KEY


def test_a_destroyed_slot_is_empty_and_its_bytes_were_overwritten(
    root: RootKey, place: Path
) -> None:
    root.write(0, KEY)
    size = (place / "slot-0").stat().st_size
    os.link(place / "slot-0", place / "witness")
    seen: list[bytes] = []

    def truncate(file: int, length: int, really: object = os.ftruncate) -> None:
        seen.append((place / "witness").read_bytes())
        assert callable(really)
        really(file, length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "ftruncate", truncate)
        root.destroy(0)
    assert len(seen[0]) == size
    assert KEY not in seen[0]
    assert not seen[0].startswith(b"MUNIROOT")
    assert (place / "witness").read_bytes() == b""
    assert root.read(0) is None
    root.destroy(0)
    root.write(0, KEY)


def test_writing_and_destroying_are_synced_in_file_and_directory(
    root: RootKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write(1, KEY)
    calls: list[str] = []

    def recorded(name: str) -> Any:
        really = getattr(os, name)

        def call(*args: Any) -> Any:
            calls.append(name)
            return really(*args)

        return call

    for name in ("write", "fsync", "ftruncate", "unlink"):
        monkeypatch.setattr(os, name, recorded(name))
    root.write(0, KEY)
    assert calls == ["write", "fsync", "fsync"]
    calls.clear()
    root.destroy(0)
    assert calls == ["write", "fsync", "ftruncate", "fsync", "unlink", "fsync"]


def test_any_byte_of_a_slot_changed_or_missing_is_a_coded_error(root: RootKey, place: Path) -> None:
    root.write(0, KEY)
    text = (place / "slot-0").read_bytes()
    for at in range(len(text)):
        for bad in (text[:at], text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]):
            plant(place, bad)
            with pytest.raises((RootKeyDamaged, FormatUnknown)):
                again(root, place).read(0)
    plant(place, text)
    assert root.read(0) == KEY


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(kind=st.integers(0, 3), body=st.binary(max_size=400), version=st.integers(0, 2))
def test_any_bytes_in_a_slot_are_a_key_or_a_coded_error(
    root: RootKey, place: Path, kind: int, body: bytes, version: int
) -> None:
    for text in (body, framed(kind, body, version)):
        plant(place, text)
        with contextlib.suppress(MunimentError):
            assert len(root.read(0) or b"") == 32


@pytest.mark.parametrize(
    ("what", "mode"), [("slot-0", 0o640), ("slot-0", 0o604), (".", 0o770), (".", 0o702)]
)
def test_a_slot_that_others_can_use_is_refused(
    root: RootKey, place: Path, what: str, mode: int
) -> None:
    root.write(0, KEY)
    (place / what).chmod(mode)
    with pytest.raises(RootKeyExposed) as refused:
        root.read(0)
    assert "chmod 600" in refused.value.hint


def test_a_slot_that_is_no_regular_file_is_refused_without_waiting(
    root: RootKey, place: Path, tmp_path: Path
) -> None:
    place.mkdir(mode=0o700)
    os.mkfifo(place / "slot-0", 0o600)
    with pytest.raises(RootKeyDamaged):
        root.read(0)
    (tmp_path / "key").write_bytes(framed(1, KEY))
    (place / "slot-1").symlink_to(tmp_path / "key")
    with pytest.raises(RootKeyMissing):
        root.read(1)


def test_no_key_and_no_passphrase_shows(root: RootKey) -> None:
    root.write(0, KEY)
    root.read(0)
    assert "horse" not in repr(root)
    assert repr(KEY)[2:-1] not in repr(vars(root)["_slots"])


def test_the_assurance_says_where_overwriting_is_not_sound(root: RootKey) -> None:
    assert "copy-on-write" in root.assurance


# --- one by one ---------------------------------------------------------------------------------


def test_the_plain_file_is_what_the_format_says(place: Path) -> None:
    FileRootKey(place).write(0, KEY)
    assert (place / "slot-0").read_bytes() == framed(1, KEY)


def test_a_wrong_passphrase_is_wrong_and_none_is_locked(place: Path) -> None:
    PassphraseRootKey(place, b"correct horse", CHEAP).write(0, KEY)
    with pytest.raises(RootKeyWrong):
        PassphraseRootKey(place, b"battery staple", CHEAP).read(0)
    with pytest.raises(StoreLocked):
        PassphraseRootKey(place, b"")
    with pytest.raises(StoreLocked):
        FileRootKey(place).read(0)


def test_a_passphrase_for_a_plain_file_is_wrong(place: Path) -> None:
    FileRootKey(place).write(0, KEY)
    with pytest.raises(RootKeyWrong):
        PassphraseRootKey(place, b"correct horse", CHEAP).read(0)


def test_the_slot_names_its_own_cost_and_the_recommended_one_is_the_default(place: Path) -> None:
    PassphraseRootKey(place, b"correct horse").write(0, KEY)
    cost = struct.unpack(">III", (place / "slot-0").read_bytes()[10:22])
    assert cost == RFC9106_SECOND == (3, 4, 65536)
    assert PassphraseRootKey(place, b"correct horse", CHEAP).read(0) == KEY


@pytest.mark.parametrize(
    "cost", [(0, 1, 8), (17, 1, 8), (1, 0, 8), (1, 17, 136), (1, 2, 15), (1, 1, (1 << 20) + 1)]
)
def test_a_hostile_cost_is_refused_before_it_is_paid(
    place: Path, cost: tuple[int, int, int]
) -> None:
    plant(place, framed(2, struct.pack(">III16s", *cost, bytes(16)) + bytes(336)))
    with pytest.raises(RootKeyDamaged):
        PassphraseRootKey(place, b"correct horse").read(0)


def test_the_passphrase_is_stretched_once_for_each_salt(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived = []

    def counted(**parameters: Any) -> Argon2id:
        derived.append(parameters)
        return Argon2id(**parameters)

    monkeypatch.setattr("eventstore.rootkey.Argon2id", counted)
    root = PassphraseRootKey(place, b"correct horse", CHEAP)
    for slot in (0, 1, 0, 1):
        root.write(slot, KEY)
        assert root.read(slot) == KEY
        root.destroy(slot)
    assert len(derived) == 1
    root.write(0, KEY)
    other = PassphraseRootKey(place, b"correct horse", CHEAP)
    assert other.read(0) == KEY
    other.write(1, KEY)
    assert other.read(1) == KEY
    assert len(derived) == 2


def test_a_planted_slot_does_not_choose_salt_or_cost_of_the_next(place: Path) -> None:
    root = PassphraseRootKey(place, b"correct horse", CHEAP._replace(iterations=2))
    root.write(1, KEY)
    plant(place, framed(2, struct.pack(">III16s", *CHEAP, bytes(16)) + bytes(336)))
    with pytest.raises(RootKeyWrong):
        root.read(0)
    root.destroy(0)
    root.write(0, KEY)
    written = [(place / name).read_bytes()[10:38] for name in ("slot-0", "slot-1")]
    assert written[0] == written[1]
