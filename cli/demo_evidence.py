"""The demo's end: evidence for an auditor, checked by programs that are not ours, and a forged one.

The auditor has a file, two public keys on paper and `verify.py`.  What belongs to standards is given
to others as well: a proof to `metamorphic-log` (Rust), a signature to `openssl` (C).
"""

from __future__ import annotations

import base64
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.demo import Stage

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before a raw Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


def evidence(stage: Stage) -> None:
    """A bundle, the two public keys, and what each program says of it."""
    stage.title("12. What an auditor takes home, and checks without trusting us")
    stage.run("audit package --out evidence.zip")
    keys = stage.run("vault show --query verifiers.[changes,access] -o tsv", quiet=True)
    (stage.folder / "paper").write_text("\n".join(keys.split()) + "\n")
    stage.say("The auditor has both public keys on paper, and no account, no store and no network.")
    stage.python("-m zipfile -e evidence.zip taken")
    stage.python("-I taken/verify.py evidence.zip --key paper", status=21, shown=_verdicts)
    stage.say("21: all of it holds, and no witness whom the auditor believes has seen it yet.")
    others = _rust(stage) + _openssl(stage)
    _forge(stage)
    stage.say(f"Programs that are not ours and accepted their parts of it: {others}.")


def _verdicts(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(
        line[:108] for line in lines[:6] + [one for one in lines if " records: " in one]
    )


def _rust(stage: Stage) -> int:
    if find_spec("metamorphic_log") is None:
        return 0
    event = (stage.folder / "taken/closing/event").read_text(encoding="utf-8")
    (stage.folder / "event.proof").write_text(event.partition("\n\n")[2])
    stage.python("check.py event.proof access.key")
    return 1


def _openssl(stage: Stage) -> int:
    if shutil.which("openssl") is None:
        return 0
    note = (stage.folder / "taken/closing/access.checkpoint").read_text(encoding="utf-8")
    text, _, line = note.partition("\n\n")
    key = (stage.folder / "access.key").read_text().strip().split("+", 2)[2]
    signature = base64.b64decode(line.split(" ")[2])[4:]
    for name, data in (
        ("said", text.encode() + b"\n"),
        ("signature", signature),
        ("key.der", _SPKI + base64.b64decode(key)[1:]),
    ):
        (stage.folder / name).write_bytes(data)
    stage.program(
        "openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in said "
        "-sigfile signature"
    )
    return 1


def _forge(stage: Stage) -> None:
    """One name in one record is another one."""
    place = stage.folder / "evidence.zip"
    forged = place.read_bytes().replace(b"intern@shop.example", b"nobody@shop.example", 1)
    Path(stage.folder / "forged.zip").write_bytes(forged)
    stage.python("-I taken/verify.py forged.zip --key paper", status=20, shown=_verdicts)
    stage.say("With one name changed in one record, it is refused.")
