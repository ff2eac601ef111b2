"""One file that holds many: a zip in the one form that leaves nothing to choose.

Members are stored as they are, one after the other, without gaps, times, comments or extra fields;
what the directory at the end says follows from the members.  So each byte of the file is a member's
or can be computed, two readers cannot read it differently, and nothing unfolds to more than there
is.  Any zip tool opens it.

It is written as it comes, whatever its size: a member's header is completed when its end is known.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import BinaryIO, NamedTuple
from zlib import crc32

from eventstore.errors import BundleTooLarge

LARGEST = (1 << 32) - 1
MOST_MEMBERS = 65_535

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_VERSION, _MADE_BY = 20, 0x0314
_DATE = 0x0021
_MODE = 0o100644 << 16


class Member(NamedTuple):
    """What is known of a member once it is written."""

    name: str
    size: int
    sha256: str
    crc: int
    offset: int


class BundleWriter:
    """Writes a bundle to *out*, which must be seekable and empty.  One member at a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.members: list[Member] = []
        self._name = ""
        self._offset = self._size = self._crc = 0
        self._hash = sha256()

    def begin(self, name: str) -> None:
        """Begin the member *name*; `write` fills it, `end` completes it."""
        self._offset = self._out.tell()
        self._name, self._size, self._crc, self._hash = name, 0, 0, sha256()
        self._out.write(_local(Member(name, 0, "", 0, 0)))

    def write(self, data: bytes) -> None:
        self._size += len(data)
        self._crc = crc32(data, self._crc)
        self._hash.update(data)
        self._out.write(data)

    def end(self) -> Member:
        """Complete the member.  Raise BundleTooLarge."""
        made = Member(self._name, self._size, self._hash.hexdigest(), self._crc, self._offset)
        end = self._out.tell()
        if end > LARGEST or len(self.members) == MOST_MEMBERS:
            raise BundleTooLarge
        self._out.seek(self._offset)
        self._out.write(_local(made))
        self._out.seek(end)
        self.members.append(made)
        return made

    def add(self, name: str, data: bytes) -> Member:
        """Write a whole member."""
        self.begin(name)
        self.write(data)
        return self.end()

    def finish(self) -> None:
        """Write the directory.  Raise BundleTooLarge."""
        start = self._out.tell()
        directory = b"".join(map(_central, self.members))
        if start + len(directory) > LARGEST:
            raise BundleTooLarge
        count = len(self.members)
        self._out.write(directory)
        self._out.write(_END.pack(0x06054B50, 0, 0, count, count, len(directory), start, 0))


def _local(member: Member) -> bytes:
    name = member.name.encode("ascii")
    sizes = (member.crc, member.size, member.size, len(name), 0)
    return _LOCAL.pack(0x04034B50, _VERSION, 0, 0, 0, _DATE, *sizes) + name


def _central(member: Member) -> bytes:
    name = member.name.encode("ascii")
    sizes = (member.crc, member.size, member.size, len(name), 0, 0, 0, 0, _MODE, member.offset)
    return _CENTRAL.pack(0x02014B50, _MADE_BY, _VERSION, 0, 0, 0, _DATE, *sizes) + name
