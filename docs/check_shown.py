"""Check what `muniment prove POSITION --show FIELDS` printed, with nothing of Muniment's.

    python check_shown.py FILE KEY      KEY is the log's verifier key line, or a file that holds it

It needs Python 3.11 and `cryptography`.  It prints what is shown and exits with 0, or exits with 20.
The part of FILE after its first empty line is a C2SP tlog-proof, for any other tool to check.
"""

import base64
import hashlib
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def refuse(why):
    print(f"refused: {why}")
    sys.exit(20)


def raw(text, size=None):
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text or size not in (None, len(found)):
        refuse("base64 that is not canonical, or of another length")
    return found


def after(word, line):
    return line[len(word) :] if line.startswith(word) else refuse(f"no line begins with {word}")


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def signed_head(note, key):
    """Size and root of the checkpoint, if *key* signed it (C2SP signed-note, tlog-checkpoint)."""
    name, key_id, public = key.split("+", 2)
    public = raw(public, 33)
    if sha(name.encode(), b"\n", public)[:4].hex() != key_id or public[0] != 1:
        refuse("that is not a verifier key")
    text, _, lines = note.rpartition("\n\n")
    origin, size, root = text.split("\n")
    for line in lines.splitlines():
        signer, stamp = after("\u2014 ", line).split(" ")
        if (signer, raw(stamp)[:4].hex()) == (name, key_id) and origin == name and size.isdecimal():
            verify = Ed25519PublicKey.from_public_bytes(public[1:]).verify
            verify(raw(stamp)[4:], text.encode() + b"\n")
            return int(size), raw(root, 32)
    refuse("that key did not sign the checkpoint")


def root_from_path(index, size, hashed, path):
    """RFC 9162, section 2.1.3.2."""
    last = size - 1
    for step in path:
        if index & 1 or index == last:
            hashed = sha(b"\1", step, hashed)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            hashed = sha(b"\1", hashed, step)
        index, last = index >> 1, last >> 1
    return hashed if last == 0 else refuse("the path is too short")


def value(data):
    """A value as people read it: the MessagePack of a text, a number, nil, true or false."""
    first, rest = data[0], data[1:]
    heads = {0xD9: 1, 0xDA: 2, 0xDB: 4}
    numbers = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
    if first & 0xE0 == 0xA0 and len(rest) == first & 0x1F:
        return rest.decode()
    if first in heads and len(rest) - heads[first] == int.from_bytes(rest[: heads[first]], "big"):
        return rest[heads[first] :].decode()
    if first < 0x80 and not rest:
        return first
    if first in numbers and len(rest) == struct.calcsize(numbers[first]):
        return struct.unpack(numbers[first], rest)[0]
    return {b"\xc0": None, b"\xc2": False, b"\xc3": True}.get(data, f"MessagePack {data.hex()}")


def check(text, key):
    fields, proof, note = text.split("\n\n", 2)
    header, extra, index, *path = proof.split("\n")
    leaf, position = raw(after("extra ", extra), 114), int(after("index ", index))
    size, root = signed_head(note, key)
    if header != "c2sp.org/tlog-proof@v1" or not 0 <= position < size:
        refuse("that is no tlog-proof")
    hashed = root_from_path(position, size, sha(b"\0", leaf), [raw(step, 32) for step in path])
    said, time = struct.unpack(">2xQQ", leaf[:18])
    if hashed != root or said != position or leaf[:2] != b"\1\1":
        refuse("the record is not in the log")
    header, *lines = fields.split("\n")
    hashes, shown = [], {"log": note.split("\n")[0], "position": position}
    shown["time"] = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    for kind, name, *opened in (line.split(" ") for line in lines):
        if kind == "shown" and name not in shown:
            entry = raw(opened[0], 16) + name.encode() + b"\0" + raw(opened[1])
            hashes.append(sha(b"\0", entry))
            shown[name] = value(raw(opened[1]))
        else:
            hashes.append(raw(name, 32) if kind == "hidden" else refuse("a field is there twice"))
    if header != "muniment/shown/v1" or sha(b"muniment/fields/v1\0", *hashes) != leaf[18:50]:
        refuse("the record does not say this")
    return shown


if __name__ == "__main__":
    file, key = Path(sys.argv[1]), Path(sys.argv[2])
    line = key.read_text() if key.is_file() else sys.argv[2]
    try:
        for name, what in check(file.read_bytes().decode(), line.strip()).items():
            print(f"{name}: {what!r}" if isinstance(what, str) else f"{name}: {what}")
    except (InvalidSignature, ValueError, IndexError, struct.error) as problem:
        refuse(f"{type(problem).__name__} {problem}")
