"""Chosen fields of one record, shown to somebody who sees nothing else of it.  Pure.

A leaf commits to each field of its record's metadata with a salt of its own.  Whoever has the audit
key can open some of them: for these the salt and the value are given, for all others their hash.
Together they lead to the commitment in the leaf, and the leaf to a signed checkpoint by a C2SP
tlog-proof, which stands behind the openings in the same text:

    muniment/shown/v1
    shown NAME SALT VALUE       a field: its name, and salt and MessagePack value in base64
    hidden HASH                 a field that is not shown
    (an empty line, then the tlog-proof)

A salt is 16 random bytes, so a hash tells nothing, not even whether two fields are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from eventstore import record
from eventstore.checkpoint import Checkpoint, Verifier
from eventstore.errors import (
    FieldUnknown,
    FormatUnknown,
    ProofInvalid,
    ProofMalformed,
    RecordMalformed,
)
from eventstore.merkle import HASH_SIZE
from eventstore.proof import Inclusion, decoded, encoded, parse
from eventstore.record import FIELD_SALT_SIZE, Leaf

HEADER = "muniment/shown/v1"
EVERY = "all"
MAX_FIELDS = 256
_PARTS = ("context.", "event.")


class Opened(NamedTuple):
    """A field that is shown: salt (16), path, and its value as MessagePack."""

    salt: bytes
    path: str
    value: bytes

    @property
    def hashed(self) -> bytes:
        return record.field_hash(self.salt + self.path.encode() + b"\0" + self.value)

    def __str__(self) -> str:
        return f"shown {self.path} {encoded(self.salt)} {encoded(self.value)}\n"


class Hidden(NamedTuple):
    """A field that is not shown."""

    hashed: bytes

    def __str__(self) -> str:
        return f"hidden {encoded(self.hashed)}\n"


class Shown(NamedTuple):
    """All fields of one record, in order, each shown or hidden."""

    fields: tuple[Opened | Hidden, ...]

    @property
    def opened(self) -> list[Opened]:
        return [field for field in self.fields if isinstance(field, Opened)]

    def __str__(self) -> str:
        return f"{HEADER}\n" + "".join(map(str, self.fields))

    def check(self, fields_root: bytes) -> dict[str, Any]:
        """The values of the shown fields, if they are what a leaf with *fields_root* commits to.

        Raise ProofInvalid.
        """
        if record.root_of_fields([field.hashed for field in self.fields]) != fields_root:
            raise ProofInvalid("the fields are not those that the record commits to")
        found: dict[str, Any] = {}
        for field in self.opened:
            if field.path in found:
                raise ProofInvalid(f"the field {field.path} is there twice")
            found[field.path] = _value(field)
        return found


class Fact(NamedTuple):
    """Fields of a record, and that the record is in the log."""

    shown: Shown
    inclusion: Inclusion

    def __str__(self) -> str:
        return f"{self.shown}\n{self.inclusion}"

    def check(self, verifiers: Sequence[Verifier]) -> tuple[Checkpoint, Leaf, dict[str, Any]]:
        """The checkpoint, the leaf and the shown values.  Raise as `Inclusion.check`."""
        checkpoint = self.inclusion.check(verifiers)
        leaf = read_proved(self.inclusion)
        return checkpoint, leaf, self.shown.check(leaf.fields_root)


def read_proved(inclusion: Inclusion) -> Leaf:
    """The leaf that *inclusion* is about, decoded.  Raise ProofInvalid."""
    try:
        leaf = record.read_leaf(inclusion.leaf)
    except (RecordMalformed, FormatUnknown) as problem:
        raise ProofInvalid(f"what is proved is no record: {problem.message}") from None
    if leaf.position != inclusion.position:
        raise ProofInvalid(f"record #{inclusion.position} says it is #{leaf.position}")
    return leaf


def show(meta: bytes, seed: bytes, names: Sequence[str]) -> Shown:
    """Open the fields *names* of the metadata text *meta* and hide the others.

    Raise FieldUnknown.
    """
    fields = [_opened(entry) for entry in record.field_entries(meta, seed)]
    paths = [field.path for field in fields]
    wanted = set(paths) if EVERY in names else {_found(name, paths) for name in names}
    return Shown(tuple(field if field.path in wanted else Hidden(field.hashed) for field in fields))


def _found(name: str, paths: Sequence[str]) -> str:
    for path in (name, *(part + name for part in _PARTS)):
        if path in paths:
            return path
    raise FieldUnknown(f"the record has no field {name[:64]!r}; it has {', '.join(paths)}")


def _opened(entry: bytes) -> Opened:
    salt, rest = entry[:FIELD_SALT_SIZE], entry[FIELD_SALT_SIZE:]
    path, _, value = rest.partition(b"\0")
    return Opened(salt, path.decode(), value)


def _value(field: Opened) -> Any:
    try:
        return msgspec.msgpack.decode(field.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProofInvalid(f"the value of {field.path} is not MessagePack") from None


def is_fact(text: str) -> bool:
    """Whether *text* says that it shows fields of a record."""
    return text.startswith(HEADER + "\n")


def parse_fact(text: str) -> Fact:
    """Read what was shown without believing it.  Raise ProofMalformed or CheckpointMalformed."""
    head, gap, rest = text.partition("\n\n")
    lines = head.split("\n")
    inclusion = parse(rest) if gap else None
    if lines[0] != HEADER or not isinstance(inclusion, Inclusion) or len(lines) > MAX_FIELDS:
        raise ProofMalformed("this does not show fields of a record and prove that it is in a log")
    return Fact(Shown(tuple(map(_field, lines[1:]))), inclusion)


def _field(line: str) -> Opened | Hidden:
    match line.split(" "):
        case ["hidden", hashed] if len(raw := decoded(hashed)) == HASH_SIZE:
            return Hidden(raw)
        case ["shown", path, salt, value] if path.isprintable() and "\0" not in path:
            opened = Opened(decoded(salt), path, decoded(value))
            if len(opened.salt) == FIELD_SALT_SIZE:
                return opened
    raise ProofMalformed("a line neither shows a field nor hides one")
