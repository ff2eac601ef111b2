"""Secret values on their way in and out: never an argument, nothing stripped, never half written.

A value is text.  `--encoding` says how a file's bytes are that text, as in the Azure CLI: base64
and hex keep any bytes, the others decode them; and the tag `file-encoding` remembers which, so that
`download` gives the same bytes back.
"""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cli.problems import FileInTheWay, FileTooLarge, FileUnusable, Usage, ValueNotText
from cli.terminal import Terminal, is_terminal

ENCODINGS: Final = ("utf-8", "utf-16le", "utf-16be", "ascii", "base64", "hex")
ENCODING_TAG: Final = "file-encoding"
STREAM: Final = "-"
_LARGEST: Final = 256 << 20
_LARGEST_VALUE: Final = 1 << 20
"""In bytes: what can never be a value need not be read to its end to be refused."""


def read_value(terminal: Terminal, file: str | None, encoding: str | None, *, trim: bool) -> str:
    """A value from *file*, from standard input, or from the hidden prompt of a terminal."""
    if file == "":
        # A shell's variable that was never set must not become an empty value.
        raise Usage("--file is empty")
    if (file is None or file == STREAM) and is_terminal(sys.stdin):
        value = terminal.ask_hidden("Value: ", again=True)
        if value is None:
            raise Usage("no value was given: standard input is a terminal that cannot hide it")
    else:
        value = to_text(read_bytes(file or STREAM, _LARGEST_VALUE), encoding or "utf-8")
    return value.strip() if trim else value


def read_bytes(file: str, most: int = _LARGEST) -> bytes:
    """All of *file*, of at most so many bytes; `-` is standard input.

    Raise FileUnusable or FileTooLarge.
    """
    try:
        if file == STREAM:
            read = sys.stdin.buffer.read(most + 1)
        else:
            with Path(file).open("rb") as stream:
                read = stream.read(most + 1)
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None
    if len(read) > most:
        raise FileTooLarge(f"{file}: more than {most >> 20} MiB")
    return read


def to_text(raw: bytes, encoding: str) -> str:
    """The text that stands for *raw*.  Raise ValueNotText, which never quotes it."""
    if encoding == "base64":
        return base64.b64encode(raw).decode("ascii")
    if encoding == "hex":
        return raw.hex()
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueNotText(
            f"the bytes are not {encoding} text: byte {error.start:,} does not fit"
        ) from None


def to_bytes(value: str, encoding: str) -> bytes:
    """What *value* stands for.  Raise ValueNotText, which never quotes it."""
    try:
        if encoding == "base64":
            return base64.b64decode(value, validate=True)
        return bytes.fromhex(value) if encoding == "hex" else value.encode(encoding)
    except (binascii.Error, ValueError):
        raise ValueNotText(f"the value cannot be written as {encoding}") from None


def write_private(file: str, content: Iterable[bytes], *, replace: bool) -> None:
    """Write *content* where only its owner may read it, whole or not at all.

    A file that stands there is refused, or with *replace* takes the new content at once: then the
    file is never seen half written.  A link is not followed.  Raise FileInTheWay or FileUnusable.
    """
    path = Path(file)
    try:
        _write(path, content, replace)
    except FileExistsError:
        raise FileInTheWay(f"{path} exists") from None
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None


def _write(path: Path, content: Iterable[bytes], replace: bool) -> None:
    # Beside the file, not in a temporary directory: a value must not pass through another disk.
    target = path.with_name(f".{path.name}.{os.getpid()}.part") if replace else path
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as stream:
            stream.writelines(content)
            stream.flush()
            os.fsync(handle)
        if replace:
            target.replace(path)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
