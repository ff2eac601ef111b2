"""One ciphertext, one text: whoever chooses the keys cannot make a seal that opens twice.

AES-GCM alone lets him: its tag is linear in the ciphertext, so one block of that can be chosen such
that the tag is right under two keys.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore import record, seal
from eventstore.disclosure import Opened, Shown, read_proved
from eventstore.errors import ProofInvalid, RecordAltered, WrongKey
from eventstore.log_directory import verify_log
from eventstore.proof import Inclusion
from eventstore.seal import OneTimeKeys
from support.life import Life

BOUND = b"what it is bound to"
SALT = bytes(32)
NONCE = bytes(12)
ONE = 1 << 127
"""The one of GCM's field, whose bits stand from the highest on (NIST SP 800-38D, 6.3)."""


def times(x: int, y: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def power(x: int, exponent: int) -> int:
    found = ONE
    while exponent:
        if exponent & 1:
            found = times(found, x)
        x, exponent = times(x, x), exponent >> 1
    return found


def block_of(key: bytes, counter: int) -> bytes:
    """AES of a counter block; of none for 0."""
    block = NONCE + counter.to_bytes(4, "big") if counter else bytes(16)
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def stream(key: bytes, size: int) -> bytes:
    return b"".join(block_of(key, 2 + at) for at in range(size // 16))


def blocks(bound: bytes, text: bytes) -> list[int]:
    """What GHASH is over."""
    padded = bound + bytes(-len(bound) % 16) + text
    lengths = (8 * len(bound)).to_bytes(8, "big") + (8 * len(text)).to_bytes(8, "big")
    whole = padded + lengths
    return [int.from_bytes(whole[at : at + 16], "big") for at in range(0, len(whole), 16)]


def tag(keys: OneTimeKeys, text: bytes) -> int:
    hashed, key = 0, int.from_bytes(block_of(keys.encryption, 0), "big")
    for block in blocks(BOUND + keys.commitment, text):
        hashed = times(hashed ^ block, key)
    return hashed ^ int.from_bytes(block_of(keys.encryption, 1), "big")


def for_two(first: OneTimeKeys, second: OneTimeKeys) -> bytes:
    """A ciphertext of 256 bytes, with its tag, that AES-GCM takes under both keys."""
    text = bytearray(stream(first.encryption, 256))
    text[-1] ^= 0x80  # where the padding begins; the keys are such that it does so for both
    text[:16] = bytes(16)  # this block is free
    last = len(blocks(b"", bytes(text)))  # so many factors has the first block of the text
    both = [int.from_bytes(block_of(keys.encryption, 0), "big") for keys in (first, second)]
    factor = power(both[0], last) ^ power(both[1], last)
    wanted = tag(first, bytes(text)) ^ tag(second, bytes(text))
    text[:16] = times(wanted, power(factor, 2**128 - 2)).to_bytes(16, "big")
    return bytes(text) + tag(first, bytes(text)).to_bytes(16, "big")


def test_a_ciphertext_that_is_right_under_two_keys_opens_under_one() -> None:
    first = seal.derive(bytes(32), SALT, b"content")
    end = stream(first.encryption, 256)[-1]
    others = (seal.derive(number.to_bytes(32, "big"), SALT, b"content") for number in count(1))
    second = next(one for one in others if stream(one.encryption, 256)[-1] == end)
    crafted = for_two(first, second)
    texts = [
        AESGCM(keys.encryption).decrypt(NONCE, crafted, BOUND + keys.commitment)
        for keys in (first, second)
    ]
    assert texts[0] != texts[1]

    assert seal.open_with(first, BOUND, first.commitment + crafted) == texts[0][:-1]
    with pytest.raises(WrongKey):
        seal.open_with(second, BOUND, first.commitment + crafted)


def test_a_record_whose_leaf_commits_to_other_keys_is_found_by_verifying_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(record, "_COMMITMENTS", b"of other keys")
        life.set("db", "one")  # as whoever has all keys can
    life.store.close()

    verify_log(life.vault.changes.path)
    with pytest.raises(RecordAltered, match="key commitments"):
        verify_log(life.vault.changes.path, every_signature=True)


def test_a_field_that_was_recorded_twice_is_not_shown_as_either() -> None:
    """Whoever has the keys can commit to two fields of one name."""
    both = [Opened(bytes(16), "event.name", msgspec.msgpack.encode(name)) for name in ("a", "b")]
    root = record.root_of_fields([field.hashed for field in both])
    assert Shown((both[0],)).check(record.root_of_fields([both[0].hashed])) == {"event.name": "a"}
    with pytest.raises(ProofInvalid, match="twice"):
        Shown(tuple(both)).check(root)


def test_a_record_is_not_shown_at_another_position_than_its_own(tmp_path: Path) -> None:
    life = Life(tmp_path / "store")
    with life.vault.changes.snapshot() as snapshot:
        leaf = record.split(record.CHANGES, snapshot.row(0)).leaf
    note = life.vault.changes.checkpoint()
    life.store.close()
    assert read_proved(Inclusion(0, leaf, (), note)).position == 0
    with pytest.raises(ProofInvalid, match="says it is #0"):
        read_proved(Inclusion(1, leaf, (), note))
