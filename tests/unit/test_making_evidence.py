"""What a bundle holds, what it leaves out, and that nothing is handed over that is not on record."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from cli import audit
from cli import bundle_verifier as verifier
from eventstore import anchors, bundle
from eventstore.checkpoint import parse_checkpoint, parse_verifier
from eventstore.errors import BundleTooLarge, LogUnavailable
from support.evidence import judge, trust_of, unzip, zipped
from support.life import Life
from support.storage import storage_place
from support.vaults import ALICE
from vault import packaging, tally
from vault.commands import GetSecret
from vault.history_commands import PackageEvidence
from vault.points import AtTime
from vault.refusals import PeriodMoved
from vault.rule_commands import DeleteVault, PurgeVault, RecoverVault, UpdateVault
from vault.storage_commands import RegenerateKey


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path / "store")
    life.set("one")
    life.read("one")
    life.clock.advance(seconds=10)
    yield life
    life.store.close()


def package(life: Life, start: int = 0, stop: int | None = None) -> packaging.Packaging:
    until = AtTime(life.clock.now if stop is None else stop)
    return life(PackageEvidence(since=AtTime(start), until=until))


def made(life: Life, start: int = 0) -> bytes:
    out = io.BytesIO()
    package(life, start).write(out, b"a program")
    return out.getvalue()


def own(life: Life) -> list[str]:
    return [log.epochs().signing[0].verifier for log in (life.vault.changes, life.vault.access)]


def trusted(life: Life, *more: str) -> verifier.Trust:
    trust = trust_of()
    return trust._replace(keys=[verifier.read_key(line) for line in (*own(life), *more)])


def test_the_reading_is_on_record_before_the_first_byte_is_written(life: Life) -> None:
    package(life)
    assert life.traces()[-1].event.what == "package"


def test_what_was_not_recorded_is_not_handed_over(
    life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = package(life)

    def fails(work: object) -> None:
        raise LogUnavailable("the disk is full")

    monkeypatch.setattr(life.vault.access, "transact", fails)
    with pytest.raises(LogUnavailable):
        audit._write(tmp_path / "bundle.zip", waiting)
    assert [one.name for one in tmp_path.iterdir() if "bundle" in one.name] == []


def test_a_record_that_comes_while_the_period_is_read_is_not_of_it(life: Life) -> None:
    waiting = package(life)
    life.set("later")
    life.read("later")
    out = io.BytesIO()
    waiting.write(out, b"")
    judged = judge(out.getvalue(), trusted(life))
    assert judged.said[verifier.COMPLETENESS][0], judged.said
    assert b"later" not in out.getvalue()


def test_a_clock_that_steps_back_into_the_period_stops_it(life: Life) -> None:
    waiting = package(life)
    life.clock.now -= 5_000_000
    life.set("too-late")
    with pytest.raises(PeriodMoved):
        waiting.write(io.BytesIO(), b"")
    assert life.traces()[-1].event.__struct_config__.tag == "history.read"


def test_a_bundle_has_at_most_four_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST", 100)
    writer = bundle.BundleWriter(io.BytesIO())
    with pytest.raises(BundleTooLarge):
        writer.add("a", bytes(200))


def test_of_many_anchors_the_outer_ones_stay(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "MOST_ANCHORS", 3)
    log, sizes = life.vault.access, []
    start = 0
    for number in range(30):
        life.read("one")
        if number == 10:
            life.clock.advance(seconds=1)
            start = life.clock.now
        sizes.append(parse_checkpoint(anchors.keep(log.path, log.checkpoint())).size)
    members = unzip(whole := made(life, start))
    kept = [int(name[-25:-5]) for name in members if name.startswith("access/anchors/")]
    assert kept[0] == sizes[10]
    assert kept[-1] == sizes[-1]
    assert len(kept) < 10
    assert judge(whole, trusted(life)).said[verifier.INTEGRITY][0]


def test_the_second_signature_of_an_anchor_is_checked_by_who_has_its_key(life: Life) -> None:
    """ML-DSA-44, byte 0x06, over origin, size and root, without a time."""
    log, private = life.vault.changes, MLDSA44PrivateKey.generate()
    origin = log.identity.origin
    key = verifier.Key(origin, verifier.ML_DSA_44, private.public_key().public_bytes_raw())
    encoded = base64.b64encode(b"\x06" + key.public).decode()
    line = f"{origin}+{key.key_id.hex()}+{encoded}"
    note = log.checkpoint()
    message = verifier.cosigned(key, verifier.read_note(note.encode()), 0)
    for at in (None, 8, 1_000):
        stamp = bytearray(bytes(8) + private.sign(message))
        if at is not None:
            stamp[at] ^= 1
        signed = base64.b64encode(key.key_id + bytes(stamp)).decode()
        place = log.path / "anchors" / f"{parse_checkpoint(note).size:020}.note"
        place.unlink(missing_ok=True)
        anchors.keep(log.path, f"{note}\N{EM DASH} {origin} {signed}\n")
        whole = made(life)
        assert judge(whole, trusted(life, line)).said[verifier.INTEGRITY][0] is (at is None)
        assert judge(whole, trusted(life)).said[verifier.INTEGRITY][0], "a key that is not known"


def test_the_report_and_the_verifier_find_the_same_records_worth_a_line() -> None:
    assert set(tally._MARKED) == verifier.WORTH
    assert verifier.GIVEN == tally._GIVEN


def test_a_token_for_storage_counts_as_a_value_that_was_given_out(tmp_path: Path) -> None:
    with storage_place(tmp_path / "store") as place:
        place.set_account()
        place.set_sas()
        secret = place.token().value
        place.ask(RegenerateKey(name="shop", key_name="key2"))
        place.clock.advance(seconds=1)
        out = io.BytesIO()
        asked = PackageEvidence(since=AtTime(0), until=AtTime(place.clock.now))
        place.ask(asked).write(out, b"a program")
        logs = (place.vault.changes, place.vault.access)
        keys = [parse_verifier(log.epochs().signing[0].verifier) for log in logs]
    judged = judge(out.getvalue(), trust_of(*keys))
    assert judged.status == 21, judged.said
    assert judged.facts.kinds["values given out"] == 1
    assert judged.facts.readers == {ALICE.principal: 1}
    assert any("storage-key.regenerated" in line for line in judged.facts.worth)
    assert secret is not None
    assert secret.encode() not in out.getvalue()


def test_a_manifest_of_any_shape_is_a_verdict_and_no_crash(life: Life) -> None:
    members = unzip(made(life))
    said = json.loads(members["manifest.json"])
    shapes: list[Any] = ["text", 7, [], None, {"sha256": 7, "size": []}]
    for odd in shapes:
        said["files"]["verify.py"] = odd
        members["manifest.json"] = json.dumps(said).encode()
        judged = judge(zipped(members), trusted(life))
        assert judged.said[verifier.INTEGRITY][0] is False, odd


def test_the_second_signature_is_checked_by_who_has_the_first_key_only(life: Life) -> None:
    """The first key endorses the second; a bundle brings the note that says so."""
    for log in (life.vault.changes, life.vault.access):
        signed = log.sign_for_others()
        anchors.keep(log.path, signed.note)
        anchors.keep_endorsement(log.path, signed.start, signed.endorsement)
    members = unzip(whole := made(life))
    judged = judge(whole, trusted(life))
    said = "2 of 2 published checkpoints are signed by it too"
    assert (judged.status, ("ML-DSA-44", said) in judged.about) == (21, True), judged.said
    [name] = [name for name in members if name.startswith("access/second-")]
    note = members[name].decode()
    other = members["changes" + name.removeprefix("access")].decode()
    key = verifier.read_key(own(life)[1])
    for false in (other, note.replace("\n0\n", "\n1\n"), note.split("\n\n")[0] + "\n\n"):
        with pytest.raises(verifier.Refused):
            verifier.read_second(false.encode(), 0, key)
    place = life.vault.access.path / "anchors"
    [kept] = place.glob("0*.note")
    text, _, lines = kept.read_text().partition("\n\n")
    first, second = lines.splitlines()
    stamp = bytearray(base64.b64decode(second.split(" ")[2]))
    stamp[-1] ^= 1
    second = " ".join([*second.split(" ")[:2], base64.b64encode(bytes(stamp)).decode()])
    kept.write_text(f"{text}\n\n{first}\n{second}\n")
    assert judge(made(life), trusted(life)).said[verifier.INTEGRITY][0] is False


def test_each_record_of_the_period_is_counted_once(life: Life) -> None:
    for number in range(700):
        life.read("one") if number % 3 else life.refuses("secret.not-found", GetSecret(name="no"))
    life.clock.advance(seconds=1)
    judged = judge(made(life), trusted(life))
    said = json.loads(unzip(made(life))["manifest.json"])["logs"]["access"]
    assert judged.facts.kinds["refused"] == 234
    assert judged.facts.kinds["values given out"] == 467
    assert said["stop"] > packaging.CHUNK


def test_who_is_no_administrator_learns_nothing_of_the_past(life: Life) -> None:
    from support.vaults import BOB

    asked = PackageEvidence(until=AtTime(life.clock.now))
    life.refuses("access.not-administrator", asked, BOB)
    assert ALICE.principal != life.traces()[-1].context.principal == BOB.principal


def test_a_rule_that_a_deletion_left_in_force_is_among_those_from_before(life: Life) -> None:
    life(UpdateVault(administrators=("nobody@example.com", ALICE.principal)))
    life(UpdateVault(administrators=(ALICE.principal, "bob@example.com")))
    life(DeleteVault())
    life(RecoverVault())
    life.clock.advance(seconds=1)
    rules = judge(made(life, life.clock.now), trusted(life)).facts.rules
    assert [rule.split()[2] for rule in rules] == [
        *("vault.created", "policy.set", "vault.updated", "vault.deleted", "vault.recovered")
    ]
    assert "bob@example.com" in rules[2]


def test_there_is_evidence_of_a_vault_that_is_deleted_or_purged(life: Life) -> None:
    """Who asks what became of the secrets, asks when they are gone."""
    life(DeleteVault())
    life.clock.advance(seconds=1)
    assert judge(made(life), trusted(life)).status == 21
    life(PurgeVault())
    life.clock.advance(seconds=1)
    judged = judge(made(life), trusted(life))
    assert judged.status == 21, judged.said
    assert judged.facts.operations["changes vault.purged"] == 1
    assert judged.facts.operations["changes keys.erased"] == 1


def test_a_log_that_was_published_while_it_was_empty_is_no_forgery(tmp_path: Path) -> None:
    life = Life(tmp_path / "store")
    anchors.keep(life.vault.access.path, life.vault.access.checkpoint())
    life.set("one")
    judged = judge(made(life), trusted(life))
    assert judged.status == 21, judged.said
    life.store.close()
