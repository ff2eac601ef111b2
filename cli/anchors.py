"""What somebody kept elsewhere and brings along: checkpoints in files, and keys to trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.problems import FileUnusable, Usage

if TYPE_CHECKING:
    from eventstore.checkpoint import Checkpoint, Verifier


def checkpoint_in(file: str, flag: str) -> Checkpoint:
    """The checkpoint that *flag* names, not yet believed.  Raise FileUnusable or Usage."""
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    try:
        return parse_checkpoint(text_of(file))
    except CheckpointMalformed:
        raise Usage(f"{flag} {file}: this is not a signed checkpoint") from None


def verifiers_in(given: Sequence[str], flag: str = "--verifier") -> list[Verifier]:
    """The keys of each verifier key line, or file of such lines.  Raise FileUnusable or Usage."""
    from eventstore.checkpoint import parse_verifier
    from eventstore.errors import CheckpointMalformed

    found: list[Verifier] = []
    for text in given:
        lines = text_of(text).splitlines() if Path(text).is_file() else [text]
        try:
            found += [parse_verifier(line) for line in lines if line.strip()]
        except CheckpointMalformed:
            raise Usage(f"{flag} is neither a verifier key line nor a file of them") from None
    return found


def text_of(file: str) -> str:
    """What the file says.  Raise FileUnusable or Usage."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise FileUnusable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Usage(f"{file} is not text") from None
