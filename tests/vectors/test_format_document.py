"""The example in docs/format.md follows from its words: computed here with no code of Muniment's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"

Example = dict[str, bytes]


@pytest.fixture(scope="module")
def text() -> str:
    whole = DOCUMENT.read_text(encoding="utf-8")
    return whole.partition("<!-- generated: example -->")[2].partition("<!-- end -->")[0]


@pytest.fixture(scope="module")
def example(text: str) -> Example:
    """Each value of the example that is shown in hex, by its name."""
    found = re.findall(r"^([a-z ]+)  (\d+) bytes\n((?:    [0-9a-f]+\n)*)", text, re.MULTILINE)
    shown = {name: bytes.fromhex("".join(lines.split())) for name, _, lines in found}
    assert {name: len(value) for name, value in shown.items()} == {
        name: int(size) for name, size, _ in found
    }
    return shown


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def number(text: str, name: str) -> int:
    found = re.search(rf"^{name}  (\d+)$", text, re.MULTILINE)
    assert found
    return int(found[1])


def one_time_keys(key: bytes, salt: bytes, label: bytes) -> tuple[bytes, bytes, bytes]:
    """HKDF-SHA256 (RFC 5869) by hand: three blocks are the three outputs."""
    prk = hmac.digest(salt, key, "sha256")
    blocks, last = [], b""
    for count in (1, 2, 3):
        info = b"muniment/seal/v1/" + label + bytes([count])
        last = hmac.digest(prk, last + info, "sha256")
        blocks.append(last)
    return blocks[0], blocks[1], blocks[2]


def opened(sealed: bytes, encryption: bytes, bound: bytes) -> bytes:
    """The text of *sealed*, its padding checked and taken off."""
    data = bound + sealed[:32]
    padded = AESGCM(encryption).decrypt(bytes(12), sealed[32:], data)
    assert len(padded) % 256 == 0
    content, mark, zeros = padded.rpartition(b"\x80")
    assert mark
    assert not any(zeros)
    return content


def bound(text: str, example: Example) -> bytes:
    place = u64(number(text, "position")) + u64(number(text, "time"))
    return b"\1\1" + example["log id"] + place


def test_the_metadata_opens_to_the_event(text: str, example: Example) -> None:
    encryption, commitment, seed = one_time_keys(example["audit key"], example["salt"], b"meta")
    assert encryption == example["metadata encryption key"]
    assert commitment == example["metadata commitment"] == example["sealed metadata"][:32]
    assert seed == example["metadata field seed"]

    meta = opened(example["sealed metadata"], encryption, bound(text, example))

    assert meta == example["metadata text"]
    assert msgspec.msgpack.decode(meta) == [
        {"principal": "alice", "auth": "local", "rule": "policy #1"},
        {
            "type": "secret.set",
            "name": "db-password",
            "version": "000102030405060708090a0b0c0d0e0f",
        },
        6,
    ]


def test_the_content_opens_to_the_value_beside_its_own_metadata(
    text: str, example: Example
) -> None:
    encryption, commitment, _ = one_time_keys(example["content key"], example["salt"], b"content")
    assert encryption == example["content encryption key"]
    assert commitment == example["content commitment"] == example["sealed content"][:32]
    beside = hashlib.sha256(example["sealed metadata"]).digest()

    content = opened(example["sealed content"], encryption, bound(text, example) + beside)

    assert msgspec.msgpack.decode(content) == {"value": "correct horse", "tags": {"team": "ops"}}


def test_the_envelope_holds_salt_metadata_and_content(example: Example) -> None:
    assert msgspec.msgpack.decode(example["envelope"]) == [
        1,
        example["salt"],
        example["sealed metadata"],
        example["sealed content"],
    ]


def test_the_fields_root_commits_to_each_field(example: Example) -> None:
    context, event, content_key = msgspec.msgpack.decode(example["metadata text"])
    fields = [(f"context.{name}", value) for name, value in context.items()]
    fields += [(f"event.{name}", value) for name, value in event.items()]
    fields.append(("content_key", content_key))
    salts = hashlib.shake_256(example["metadata field seed"]).digest(16 * len(fields))
    entries = [
        salts[16 * at : 16 * at + 16] + path.encode() + b"\0" + msgspec.msgpack.encode(value)
        for at, (path, value) in enumerate(fields)
    ]
    assert entries[0] == example["first field entry"]
    hashes = [hashlib.sha256(b"\0" + entry).digest() for entry in entries]
    committed = hashlib.sha256(b"muniment/fields/v1\0" + b"".join(hashes)).digest()
    assert committed == example["fields root"]


def test_the_leaf_has_its_parts_at_their_offsets(text: str, example: Example) -> None:
    commitments = example["metadata commitment"] + example["content commitment"]
    leaf = example["leaf"]
    assert len(leaf) == 114
    assert leaf[:2] == b"\1\1"
    assert leaf[2:10] == u64(number(text, "position"))
    assert leaf[10:18] == u64(number(text, "time"))
    assert leaf[18:50] == example["fields root"]
    assert leaf[50:82] == hashlib.sha256(example["envelope"]).digest() == example["envelope hash"]
    assert leaf[82:] == example["key commitment"]
    assert leaf[82:] == hashlib.sha256(b"muniment/commitments/v1\0" + commitments).digest()
    assert hashlib.sha256(b"\0" + leaf).digest() == example["leaf hash"]


def test_the_signature_is_over_log_and_leaf(example: Example) -> None:
    message = b"muniment/event/v1\0" + example["log id"] + example["leaf"]
    assert message == example["signed message"]
    signer = Ed25519PrivateKey.from_private_bytes(example["signing key"])
    assert signer.sign(message) == example["signature"]


def test_the_row_is_leaf_signature_and_envelope(example: Example) -> None:
    row = example["leaf"] + example["signature"] + example["envelope"]
    assert hashlib.sha256(row).digest() == example["row hash"]


def test_the_verifier_key_line_names_the_key_that_signed(text: str, example: Example) -> None:
    found = re.search(r"^verifier  ([^+]+)\+([^+]+)\+(.+)$", text, re.MULTILINE)
    assert found
    origin, key_id, key = found[1], found[2], base64.b64decode(found[3])
    assert origin == f"muniment/{example['log id'].hex()}/changes"
    assert key[:1] == b"\1"
    assert hashlib.sha256(origin.encode() + b"\n" + key).digest()[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(
        example["signature"], example["signed message"]
    )


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        (int(size.replace(",", "")), int(padded.replace(",", "")))
        for size, padded in re.findall(
            r"^\| (?:0 to )?([\d,]+) \| ([\d,]+) \| [\d,]+ \|$",
            DOCUMENT.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    ],
)
def test_the_table_of_buckets_is_what_the_rule_gives(size: int, padded: int) -> None:
    marked = size + 1
    below = 1 << (marked.bit_length() - 1)
    step = max(256, below // 8)
    assert -(-marked // step) * step == padded
