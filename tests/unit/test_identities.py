"""Identities: kept sealed, seen by every process, and gone when they are removed."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from eventstore.errors import (
    FormatUnknown,
    LogUnavailable,
    MunimentError,
    RecordMalformed,
    SealBroken,
    WrongKey,
)
from server.identities import Identities, client_keys, new_signing_key
from server.roll import IdentityExists, IdentityInvalid, IdentityNotFound, Issuer, claimed
from support.sign_in import NOW, OUTSIDE, RSA, RSA_PRIVATE, key_set, service
from support.vaults import ALICE, Clock, check_store, make_store, open_store
from vault.backing import backup

SUBJECT = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
PUBLIC = RSA_PRIVATE.public_key().public_bytes(*SUBJECT)


def test_a_store_keeps_its_identities(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        before = Identities(store, clock=clock)
        made = before.add("app")
        label, tenant = before.derived(b"pages"), before.tenant

    with open_store(tmp_path / "store", clock) as store:
        after = Identities(store, clock=clock)
        known, kept = claimed(after.roll, made.secret, after.now)

        assert known == made.application
        assert kept.fits(made.secret)
        assert (after.derived(b"pages"), after.tenant) == (label, tenant)
    check_store(tmp_path / "store", clock)


def test_each_purpose_has_a_secret_of_its_own(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        purposes = {one.identities.derived(label) for label in (b"", b"a", b"b")}
        assert len(purposes) == 3
        assert {len(secret) for secret in purposes} == {32}


def test_nothing_of_an_identity_can_be_read_in_the_file(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with service(tmp_path) as one:
            made = one.identities.add("ReadableMarker")
            one.identities.trust(Issuer(issuer=OUTSIDE, jwks=key_set(RSA)))
            files = [one.store.home / name for name in ("identities", "identities.lock")]
            text = files[0].read_bytes()
    finally:
        os.umask(umask)

    client = made.application
    for told in ("ReadableMarker", client.client_id, client.object_id, made.secret, OUTSIDE):
        assert told.encode() not in text
    assert b"RSA" not in text
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_secret_itself_is_kept_by_nobody(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("app")
        assert made.secret not in repr(made)
        assert made.secret.partition("~")[2] not in str(one.identities.roll.applications)


# --- clients --------------------------------------------------------------------------------------


def test_names_and_ids_belong_to_one_client(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        first = one.identities.add("app").application
        takes: list[dict[str, Any]] = [
            {"name": "APP"},
            {"name": "other", "object_id": first.object_id},
            {"name": "other", "client_id": first.client_id.upper()},
            {"name": "other", "object_id": first.client_id},
        ]
        for taken in takes:
            with pytest.raises(IdentityExists):
                one.identities.add(**taken)
        assert one.identities.roll.applications == (first,)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "a" * 65},
        {"name": "two words"},
        {"name": "-option"},
        {"name": "line\n"},
        {"name": "naïve"},
        {"name": "8fc84c0a-3bd7-4a3e-9f8c-1d2e3f405162"},
        {"name": "app", "object_id": "local:root"},
        {"name": "app", "client_id": "app"},
        {"name": "app", "lifetime": 0},
    ],
    ids=str,
)
def test_a_bad_identity_is_refused_and_nothing_is_kept(tmp_path: Path, bad: dict) -> None:
    with service(tmp_path) as one:
        with pytest.raises(IdentityInvalid):
            one.identities.add(**bad)
        assert one.identities.roll.applications == ()


def test_a_client_is_found_by_name_or_client_id(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        made = one.identities.add("App").application
        assert one.identities.roll.named("app") == made
        assert one.identities.roll.named(made.client_id.upper()) == made
        with pytest.raises(IdentityNotFound):
            one.identities.roll.named(made.object_id)


def test_a_rotated_secret_ends_at_once_unless_it_is_kept(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        first = one.identities.add("app").secret
        second = one.identities.rotate("app", keep=60).secret
        assert [good(one, text) for text in (first, second)] == [True, True]

        one.clock.advance(seconds=61)
        assert [good(one, text) for text in (first, second)] == [False, True]

        third = one.identities.rotate("app").secret
        assert [good(one, text) for text in (first, second, third)] == [False, False, True]
        [kept] = one.identities.roll.named("app").secrets
        assert third.startswith(kept.id)


def test_a_secret_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        secret = one.identities.add("app", lifetime=100).secret
        one.clock.advance(seconds=99)
        assert good(one, secret)
        one.clock.advance(seconds=1)
        assert not good(one, secret)


@pytest.mark.parametrize("change", ["", "~", "x~y", "{}x", "{} ", "x{}", "\ud800~"])
def test_a_text_that_is_nearly_a_secret_is_none(tmp_path: Path, change: str) -> None:
    with service(tmp_path) as one:
        secret = one.identities.add("app").secret
        assert not good(one, change.format(secret))


def good(one, secret: str) -> bool:
    application, kept = claimed(one.identities.roll, secret, one.identities.now)
    return kept.fits(secret) and application is not None


# --- several processes ----------------------------------------------------------------------------


def test_another_process_sees_a_change_a_second_later(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        other = one.other_process()
        generation = other.generation
        one.identities.add("app")

        assert other.roll.applications == ()
        one.ticks.now += 1
        assert other.roll.named("app").name == "app"
        assert other.generation != generation


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        roll = one.identities.roll
        one.ticks.now += 100
        assert one.identities.roll is roll


def test_two_processes_that_begin_together_are_one_tenant(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        made: list[Identities] = []
        threads = [
            threading.Thread(target=lambda: made.append(Identities(store, clock=clock)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 4
        assert len({one.tenant for one in made}) == 1
    check_store(tmp_path / "store", clock)


def test_writers_that_race_lose_no_change(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        processes = [one.other_process() for _ in range(4)]
        threads = [
            threading.Thread(target=process.add, args=(f"app-{n}",))
            for n, process in enumerate(processes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = {known.name for known in one.other_process().roll.applications}
        assert names == {"app-0", "app-1", "app-2", "app-3"}


# --- a file that is not what it should be ---------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda text: b"", RecordMalformed),
        (lambda text: text[:10], RecordMalformed),
        (lambda text: b"X" + text[1:], RecordMalformed),
        (lambda text: text[:8] + b"\x02" + text[9:], FormatUnknown),
        (lambda text: text[:-1], SealBroken),
        (lambda text: text[:-1] + bytes([text[-1] ^ 1]), SealBroken),
        (lambda text: text[:16] + b"\x05" + text[17:], WrongKey),
        (lambda text: text[:17], SealBroken),
    ],
    ids=["empty", "cut header", "magic", "format", "cut", "altered", "key number", "no seal"],
)
def test_a_damaged_file_closes_the_door(tmp_path: Path, spoil, error: type[MunimentError]) -> None:
    with service(tmp_path) as one:
        place = one.store.home / "identities"
        whole = place.read_bytes()
        place.write_bytes(spoil(whole))

        one.ticks.now += 1
        with pytest.raises(error):
            one.identities.roll  # noqa: B018
        with pytest.raises(error):
            one.other_process()

        place.write_bytes(whole)
        one.ticks.now += 1
        assert one.identities.roll.tenant == one.tenant


def test_a_file_that_is_gone_closes_the_door(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        (one.store.home / "identities").unlink()
        one.ticks.now += 1
        with pytest.raises(LogUnavailable):
            one.identities.roll  # noqa: B018


def test_identities_of_another_store_do_not_open(tmp_path: Path) -> None:
    clock = Clock()
    for name in ("a", "b"):
        with make_store(tmp_path / name, clock) as store:
            Identities(store, clock=clock).add("app")
    (tmp_path / "b" / "identities").write_bytes((tmp_path / "a" / "identities").read_bytes())

    with open_store(tmp_path / "b", clock) as store, pytest.raises(WrongKey):
        Identities(store, clock=clock)
    check_store(tmp_path / "b", clock)


def test_identities_outlive_a_new_root_key(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        Identities(store, clock=clock).add("app")
        store.keyring.rotate_root()
        assert Identities(store, clock=clock).roll.named("app").name == "app"
    check_store(tmp_path / "store", clock)


def test_who_had_the_root_key_before_does_not_open_what_is_written_after(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        known = Identities(store, clock=clock)
        place = tmp_path / "store" / "identities"
        keys = []
        for name in ("before", "again", "after", "once-more"):
            if name == "after":
                store.keyring.rotate_root()
            known.add(name)
            keys.append(place.read_bytes()[9:17])

        assert keys[0] == keys[1] != keys[2] == keys[3]
        assert len(Identities(store, clock=clock).roll.applications) == 4
    check_store(tmp_path / "store", clock)


def test_a_backup_of_the_store_has_its_identities(tmp_path: Path) -> None:
    clock = Clock()
    with make_store(tmp_path / "store", clock) as store:
        secret = Identities(store, clock=clock).add("app").secret
        backup(store, tmp_path / "copy", ALICE)
    key = tmp_path / "store.key"
    (tmp_path / "copy").rename(tmp_path / "again")
    key.rename(tmp_path / "again.key")

    with open_store(tmp_path / "again", clock) as store:
        known = Identities(store, clock=clock)
        application, kept = claimed(known.roll, secret, known.now)
        assert application is not None
        assert kept.fits(secret)
    check_store(tmp_path / "again", clock)


# --- keys and issuers -----------------------------------------------------------------------------


def test_an_old_signing_key_verifies_until_its_tokens_have_ended(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        first = one.identities.roll.signing[0]
        second = one.identities.rotate_signing_key()
        signing, retired = one.identities.roll.signing
        assert (signing.kid, retired.kid) == (second.kid, first.kid)
        assert retired.private == b""
        assert retired.retires is not None
        assert retired.retires >= NOW + 24 * 3600

        one.clock.advance(days=2)
        third = one.identities.rotate_signing_key()
        assert [key.kid for key in one.identities.roll.signing] == [third.kid, second.kid]


def test_public_keys_and_certificates_are_read(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*SUBJECT)
    assert len({key.id for key in client_keys(PUBLIC + curve)}) == 2


def private_pem() -> bytes:
    return RSA_PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "text",
    [
        lambda: b"",
        lambda: b"nothing",
        lambda: PUBLIC[:60],
        private_pem,
        lambda: PUBLIC * 9,
        lambda: ec.generate_private_key(ec.SECP384R1()).public_key().public_bytes(*SUBJECT),
        lambda: (
            rsa.generate_private_key(public_exponent=65537, key_size=1024)
            .public_key()
            .public_bytes(*SUBJECT)
        ),
    ],
    ids=["empty", "no pem", "cut", "private", "nine", "P-384", "RSA 1024"],
)
def test_a_file_without_good_public_keys_is_refused(text) -> None:
    with pytest.raises(IdentityInvalid):
        client_keys(text())


@pytest.mark.parametrize(
    "bad",
    [
        {"issuer": "http://issuer.example", "jwks_url": "https://issuer.example/keys"},
        {"issuer": OUTSIDE},
        {"issuer": OUTSIDE, "jwks": b"{}", "jwks_url": "https://issuer.example/keys"},
        {"issuer": OUTSIDE, "jwks_url": "http://issuer.example/keys"},
        {"issuer": OUTSIDE, "jwks_url": "file:///etc/passwd"},
        {"issuer": OUTSIDE, "jwks": b"not json"},
        {"issuer": OUTSIDE, "jwks": b'{"keys":[]}'},
        {"issuer": OUTSIDE, "jwks": b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'},
        {"issuer": OUTSIDE, "jwks": b" " * 70_000},
        {"issuer": OUTSIDE, "jwks": key_set(RSA), "audiences": ("",)},
        {"issuer": OUTSIDE + "\n", "jwks": key_set(RSA)},
    ],
    ids=lambda bad: str(bad)[:60],
)
def test_an_issuer_that_could_be_anybody_is_refused(tmp_path: Path, bad: dict) -> None:
    with service(tmp_path) as one:
        with pytest.raises(IdentityInvalid):
            one.identities.trust(Issuer(**bad))
        assert one.identities.roll.issuers == ()


def test_an_issuer_is_trusted_once_and_no_more_when_it_is_removed(tmp_path: Path) -> None:
    with service(tmp_path) as one:
        one.identities.trust(Issuer(issuer=OUTSIDE, jwks=key_set(RSA)))
        again = Issuer(issuer=OUTSIDE, jwks=key_set(RSA), tenant="t")
        assert one.identities.trust(again).issuers == (again,)
        assert one.identities.distrust(OUTSIDE).issuers == ()
        with pytest.raises(IdentityNotFound):
            one.identities.distrust(OUTSIDE)


def test_signing_keys_differ() -> None:
    assert new_signing_key().kid != new_signing_key().kid
