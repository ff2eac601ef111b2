"""Whatever bytes a decoder is given, it gives what they say or an error with a code.  Nothing else.

Two kinds of bytes are tried on each: any at all, and valid ones with a few bytes changed, cut out,
put in or cut off, since arbitrary bytes seldom get past the first check.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import (
    auditor,
    checkpoint,
    cosignature,
    grant,
    head,
    keyheader,
    keytree,
    merkle,
    quorum,
    record,
    seal,
    second_key,
    submission,
)
from eventstore.access_events import SecretRead
from eventstore.errors import MunimentError
from eventstore.event import Context, SecretContent
from eventstore.events import SecretSet
from eventstore.proof import Consistency
from eventstore.record import ACCESS, CHANGES, Draft, Sealing
from eventstore.rootkey import Argon2Cost, FileRootKey, PassphraseRootKey
from projections.reader import Reader
from projections.rows import ROWS, Row, Settings, settings_key
from projections.sealer import Sealer
from projections.views import decode_pointer
from vault import backup
from vault.configuration import read_configuration

KEY, OTHER_KEY, LOG_ID, STORE_ID = b"k" * 32, b"o" * 32, b"a log of 16 byte", b"a store, 16 byte"
ORIGIN = f"muniment/{LOG_ID.hex()}/changes"
SIGNER = checkpoint.Signer(ORIGIN, b"s" * 32)
VERIFIER = SIGNER.verifier

enough = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def outcome(decode: Callable[[Any], object], given: Any) -> str:
    """The code of the refusal, or nothing if the bytes were accepted."""
    try:
        decode(given)
    except MunimentError as refused:
        refusal = refused
    else:
        return ""
    assert refusal.code
    assert refusal.message
    return refusal.code


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """*valid* with one to three places changed."""
    changed = bytearray(valid)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        match draw(st.sampled_from(["flip", "set", "cut", "put", "end"])):
            case "flip" if changed:
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if changed:
                # The bytes that mean something in MessagePack: big sizes, wrong types, nil.
                changed[at] = draw(st.sampled_from(b"\x00\x7f\x80\x90\xa1\xc0\xc1\xc4\xcf\xdf\xff"))
            case "cut":
                del changed[at : at + draw(st.integers(1, 9))]
            case "put":
                changed[at:at] = draw(st.binary(min_size=1, max_size=9))
            case _:
                del changed[at:]
    return bytes(changed)


def bytes_like(valid: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=2 * len(valid)), mutated(valid))


def built(kind: record.Kind) -> bytes:
    """A record that is whole."""
    event = SecretSet(name="a-name", version="0" * 32, exp=2_000_000_000)
    read = SecretRead(name="a-name", version="0" * 32, at=7)
    draft = Draft(
        Context(principal="somebody", auth="test", request="a-request", cause=3),
        event if kind is CHANGES else read,
        SecretContent(value="s3cret", tags={"a": "b"}) if kind is CHANGES else None,
        9 if kind is CHANGES else None,
    )
    keys = Sealing(KEY, OTHER_KEY, SIGNER if kind.signed else None, b"\x05" * 32)
    return record.build(kind, LOG_ID, 5, 1_790_000_000_000_000, draft, keys).row


IDENTITY = head.Identity(head.FORMAT, "changes", LOG_ID)
EPOCHS = head.encode(
    head.Epochs(
        (
            head.SigningEpoch(0, str(VERIFIER), ""),
            head.SigningEpoch(9, str(VERIFIER), head.endorse(9, SIGNER, SIGNER)),
        )
    )
)
HEAD = head.encode_head(head.Head(5, 1_790_000_000_000_000, (b"\1" * 32, b"\2" * 32)))
ABOUT = head.PublicRows(head.encode(IDENTITY), HEAD, EPOCHS)
NUMBERS = head.encode_numbers(
    head.Numbers((1, 300), (head.AuditEpoch(0, 2), head.AuditEpoch(70_000, 3)), True), ABOUT, SIGNER
)
NOTE = checkpoint.sign_checkpoint(12, b"\7" * 32, SIGNER)
HEADER = keyheader.encode_header(keyheader.Header.first(STORE_ID, KEY))
BLOB = backup.close(
    backup.Header(STORE_ID, LOG_ID, 77),
    KEY,
    b"\3" * 32,
    "a-name",
    (
        backup.BackedUpVersion(
            version="1" * 32, created=1, updated=2, value="s3cret", tags={"a": "b"}
        ),
    ),
)


def open_blob(blob: bytes) -> object:
    return backup.open_blob(blob, backup.read_header(blob, STORE_ID), KEY)


def open_record(kind: record.Kind) -> Callable[[bytes], object]:
    def opened(row: bytes) -> None:
        split = record.split(kind, row)
        record.open_entry(kind, LOG_ID, split, KEY)
        record.open_content(kind, LOG_ID, split, OTHER_KEY)

    return opened


def commitments(envelope: bytes) -> object:
    return record.commitments_of(record.read_envelope(envelope))


def epochs_and_chain(row: bytes) -> object:
    return head.verifiers(IDENTITY, head.decode_epochs(row))


def numbers_and_mac(row: bytes) -> None:
    head.decode_numbers(row)
    head.check_numbers(row, ABOUT, SIGNER)


GRANT = grant.seal_to(
    auditor.public_of(KEY),
    grant.Header(
        STORE_ID,
        b"a grant, 16 byte",
        3,
        auditor.fingerprint(auditor.public_of(KEY)),
        1,
        2,
        grant.Part(LOG_ID, 0, 1),
        grant.Part(LOG_ID, 0, 0),
    ),
    grant.Text("a-vault", "a label", grant.Held(NOTE, b"\6" * 32), grant.Held("", b"")),
)

WITNESS = cosignature.witness_key("witness.example/w1", b"w" * 32)
COSIGNED = NOTE + cosignature.cosign(
    "witness.example/w1", b"w" * 32, checkpoint.parse_checkpoint(NOTE), 7
)
POLICY = f"log {VERIFIER}\nwitness one {WITNESS} http://w\ngroup g any one\nquorum g\n".encode()
SUBMISSION = str(Consistency(9, [b"\1" * 32, b"\2" * 32], NOTE)).encode()
SECOND = second_key.SecondSigner(ORIGIN, b"s" * 32).cosigner
ENDORSEMENT = second_key.endorse_second(9, SIGNER, SECOND).encode()


def text_of(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    """Let *decode* take any bytes: what is not UTF-8 comes as letters of another encoding."""
    return lambda raw: decode(raw.decode("utf-8", "replace"))


DECODERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "a policy": (POLICY, quorum.parse_policy),
    "a submission": (SUBMISSION, submission.read_submission),
    "a witness's key": (str(WITNESS).encode(), text_of(cosignature.parse_cosigner)),
    "a cosigned note": (COSIGNED.encode(), text_of(WITNESS.time_in)),
    "a second key": (
        ENDORSEMENT,
        text_of(lambda note: second_key.read_endorsement(note, VERIFIER)),
    ),
    "a leaf": (built(CHANGES)[: record.LEAF_SIZE], record.read_leaf),
    "an envelope": (record.split(CHANGES, built(CHANGES)).envelope, commitments),
    "a record of changes": (built(CHANGES), open_record(CHANGES)),
    "a record of access": (built(ACCESS), open_record(ACCESS)),
    "an identity": (head.encode(IDENTITY), head.decode_identity),
    "epochs": (EPOCHS, epochs_and_chain),
    "key numbers": (NUMBERS, numbers_and_mac),
    "a head": (HEAD, lambda row: head.decode_head(row).root()),
    "a keyring's header": (HEADER, keyheader.decode_header),
    "a node": (
        keytree.close_node(STORE_ID, (0, 1), KEY, b"\4" * 32, keytree.EMPTY.with_key(3, KEY)),
        lambda row: keytree.open_node(STORE_ID, (0, 1), KEY, row),
    ),
    "a seal": (
        seal.seal(KEY, b"\2" * 32, b"label", b"bound", b"text"),
        lambda sealed: seal.open_seal(KEY, b"label", b"bound", sealed),
    ),
    "a backup": (BLOB, open_blob),
    "a grant": (GRANT, lambda file: grant.open_with(KEY, file)),
    "an auditor's file": (
        auditor.to_file(KEY, None, os.urandom),
        lambda file: auditor.from_file(file, None),
    ),
    "an auditor's key": (
        auditor.to_text(auditor.public_of(KEY)).encode(),
        lambda text: auditor.from_text(text.decode(errors="surrogateescape")),
    ),
    "a pointer to views": (msgspec.msgpack.encode((3, 4, 5)), decode_pointer),
}


@pytest.mark.parametrize("what", DECODERS)
def test_what_a_decoder_is_given_it_reads_or_refuses_with_a_code(what: str) -> None:
    valid, decode = DECODERS[what]
    if what != "a record of access":  # it has no content to open
        assert outcome(decode, valid) == ""

    @enough
    @given(bytes_like(valid))
    def try_it(data: bytes) -> None:
        outcome(decode, data)

    try_it()


# --- what stands inside a seal, for one who has the key and means ill ------------------------------

_meta = {
    CHANGES: record.open_meta(CHANGES, LOG_ID, record.split(CHANGES, built(CHANGES)), KEY),
    ACCESS: record.open_meta(ACCESS, LOG_ID, record.split(ACCESS, built(ACCESS)), KEY),
}


@pytest.mark.parametrize("kind", [CHANGES, ACCESS], ids=lambda kind: kind.name)
def test_metadata_under_the_right_key_is_an_event_or_an_unknown_one(kind: record.Kind) -> None:
    opened = _meta[kind]

    @enough
    @given(bytes_like(opened.meta))
    def try_it(data: bytes) -> None:
        decoded = outcome(lambda text: record.decode_meta(kind, opened._replace(meta=text)), data)
        assert decoded in ("", "event.unknown")

    try_it()


@enough
@given(bytes_like(msgspec.msgpack.encode(SecretContent(value="s3cret", tags={"a": "b"}))))
def test_content_under_the_right_key_is_read_or_broken(data: bytes) -> None:
    row = record.split(CHANGES, built(CHANGES))
    envelope = record.read_envelope(row.envelope)
    leaf = record.read_leaf(row.leaf)
    front = struct.pack(">BB16sQQ", 1, 1, LOG_ID, leaf.position, leaf.time)
    bound = front + hashlib.sha256(envelope.meta).digest()
    keys = seal.derive(OTHER_KEY, envelope.salt, b"content")
    forged = msgspec.msgpack.encode(
        [1, envelope.salt, envelope.meta, seal.seal_with(keys, bound, data)]
    )
    found = outcome(
        lambda it: record.open_content(CHANGES, LOG_ID, row._replace(envelope=it), OTHER_KEY),
        forged,
    )
    assert found in ("", "seal.broken")


_PAYLOAD = seal.open_seal(KEY, b"backup", BLOB[:48], BLOB[48:])


@enough
@given(bytes_like(_PAYLOAD))
def test_a_blob_forged_under_its_key_is_read_or_invalid(text: bytes) -> None:
    forged = BLOB[:48] + seal.seal(KEY, b"\3" * 32, b"backup", BLOB[:48], text)
    assert outcome(open_blob, forged) in ("", "backup.invalid")


_GRANTED = grant.open_with(KEY, GRANT)


@enough
@given(bytes_like(msgspec.msgpack.encode(_GRANTED.text)))
def test_a_grant_forged_by_a_stranger_is_read_or_invalid(text: bytes) -> None:
    # Whoever knows a public key can seal to it.
    forged = grant.seal_to(auditor.public_of(KEY), _GRANTED.header, msgspec.Raw(text))  # type: ignore[arg-type]
    assert outcome(lambda file: grant.open_with(KEY, file), forged) in ("", "grant.invalid")


@enough
@given(st.sampled_from(sorted(ROWS)), st.data())
def test_a_row_of_a_view_is_read_or_corrupt(table: Any, data: st.DataObject) -> None:
    sealer = Sealer(KEY, OTHER_KEY, lambda size: b"\1" * size)
    place = sealer.place(settings_key())
    valid = Settings("v", 90, False, ("somebody",), 1, 2)
    sealed = sealer.seal(place, valid)
    if data.draw(st.booleans()):
        sealed = data.draw(bytes_like(sealed))
    else:
        text = data.draw(bytes_like(msgspec.msgpack.encode(valid)))
        nonce = b"\1" * 12
        sealed = nonce + sealer._cipher.encrypt(nonce, text, place)
    rows = _OneRow(place, sealed)
    kind: type[Row] = ROWS[table]
    found = outcome(lambda _: Reader(rows, None, sealer, {}).get(settings_key(), kind), None)  # type: ignore[arg-type]
    assert found in ("", "view.corrupt")


class _OneRow:
    def __init__(self, place: bytes, row: bytes) -> None:
        self._place, self._row = place, row

    def get(self, place: bytes, db: object) -> bytes | None:
        return self._row if place == self._place else None


# --- text ---------------------------------------------------------------------------------------

_any_text = st.text(st.characters(exclude_categories=()), max_size=300)
_line = st.text(st.characters(exclude_characters="\n", exclude_categories=()), max_size=80)
_base64 = st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode())
_size = st.one_of(
    st.integers(-1, 1 << 70).map(str), _line, st.sampled_from(["007", "+1", "1_0", "\u0661", ""])
)
_checkpoint = st.builds(
    "{}\n{}\n{}\n\n\N{EM DASH} {} {}\n".format,
    _line,
    _size,
    _base64 | _line,
    _line,
    _base64 | _line,
)


@st.composite
def notes(draw: st.DrawFn) -> str:
    """Any text, a note of the right form, or the valid one with places changed."""
    how = draw(st.sampled_from(["any", "form", "mutated"]))
    if how == "any":
        return draw(_any_text)
    if how == "form":
        return draw(_checkpoint)
    return draw(mutated(NOTE.encode())).decode(errors="surrogateescape")


@pytest.mark.parametrize(
    "decode",
    [
        checkpoint.parse_checkpoint,
        checkpoint.signatures,
        lambda note: checkpoint.open_note(note, VERIFIER),
    ],
    ids=["parse", "signatures", "open"],
)
def test_a_note_is_read_or_refused_with_a_code(decode: Callable[[str], object]) -> None:
    assert outcome(decode, NOTE) == ""

    @enough
    @given(notes())
    def try_it(note: str) -> None:
        outcome(decode, note)

    try_it()


@enough
@given(notes())
def test_a_changed_note_is_never_opened_as_something_else(note: str) -> None:
    if outcome(lambda it: checkpoint.open_note(it, VERIFIER), note) == "":
        assert checkpoint.open_note(note, VERIFIER) == checkpoint.checkpoint_text(
            ORIGIN, 12, b"\7" * 32
        )


@enough
@given(
    st.one_of(
        _any_text,
        st.builds("{}+{}+{}".format, _line, _line, _base64),
        mutated(str(VERIFIER).encode()).map(lambda raw: raw.decode(errors="surrogateescape")),
    )
)
def test_a_verifier_key_is_read_or_malformed(line: str) -> None:
    if outcome(checkpoint.parse_verifier, line) == "":
        read = checkpoint.parse_verifier(line)
        assert str(read) == line.strip()
        assert not read.accepts(b"\0" * 64, b"message")
        assert not read.accepts(b"short", b"message")


@enough
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=70))
def test_a_point_that_is_no_key_accepts_nothing(public: bytes, signature: bytes) -> None:
    assert not checkpoint.Verifier("n", public).accepts(signature, b"message")


@enough
@given(
    st.integers(-2, 1 << 65),
    st.integers(-2, 1 << 65),
    st.binary(max_size=40),
    st.lists(st.binary(max_size=40), max_size=70),
)
def test_an_inclusion_proof_gives_a_root_or_is_invalid(
    position: int, size: int, hashed: bytes, path: list[bytes]
) -> None:
    found = outcome(lambda _: merkle.root_from_inclusion(position, size, hashed, path), None)
    assert found in ("", "proof.invalid")


# --- files --------------------------------------------------------------------------------------

_CONFIGURATION = b'{"format":1,"store_id":"' + b"5" * 32 + b'","provider":"file","root":""}\n'


@enough
@given(bytes_like(_CONFIGURATION))
def test_the_configuration_of_a_store_is_read_or_unknown(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "store.json").write_bytes(text)
        found = outcome(lambda it: _use(read_configuration(it)), Path(home))
        assert found in ("", "format.unknown")


def _use(configuration: Any) -> None:
    assert len(bytes.fromhex(configuration.store_id)) == 16
    assert "\0" not in configuration.root


@pytest.mark.parametrize("provider", ["file", "passphrase"])
def test_a_root_key_slot_is_read_or_refused(provider: str, tmp_path: Path) -> None:
    def keeper() -> FileRootKey | PassphraseRootKey:
        if provider == "file":
            return FileRootKey(tmp_path / "key")
        return PassphraseRootKey(tmp_path / "key", b"passphrase", Argon2Cost(1, 1, 8))

    keeper().write(0, KEY)
    slot = tmp_path / "key" / "slot-0"
    valid = slot.read_bytes()
    assert keeper().read(0) == KEY

    @enough
    @given(st.data())
    def try_it(data: st.DataObject) -> None:
        body = data.draw(bytes_like(valid[:-32]))
        if data.draw(st.booleans()):
            framed = body + hashlib.sha256(body).digest()  # past the checksum, to what lies within
        else:
            framed = data.draw(bytes_like(valid))
        if framed[9:10] == b"\2" and _is_dear(framed):
            return
        slot.write_bytes(framed)
        os.chmod(slot, 0o600)
        found = outcome(lambda it: it.read(0), keeper())
        assert found or keeper().read(0) == KEY or provider == "file"

    try_it()


def _is_dear(framed: bytes) -> bool:
    """Whether Argon2id would be asked for more than a test has time for, within the limits."""
    if len(framed) < 22:
        return False
    iterations, lanes, memory = struct.unpack(">III", framed[10:22])
    return bool(iterations <= 16 and lanes <= 16 and 1024 < memory <= 1024 * 1024)
