"""Damage the file of a log in many ways and verify each; run as a process, since LMDB may take it along.

    python damage.py LOG WORK SEED FIRST COUNT

Prints a line before each damage (its number and what it is) and ends it with the outcome: `same` if
the report is that of the whole log, the code of the refusal, or `OTHER` and what came instead.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from eventstore.errors import MunimentError
from eventstore.log_directory import verify_log
from eventstore.verify import Report

PAGE = 4096


def damaged(draw: random.Random, whole: bytes) -> tuple[str, bytes]:
    """One change to the bytes of an LMDB file: what it is, and the file."""
    raw = bytearray(whole)
    page = draw.randrange(len(raw) // PAGE) * PAGE
    how = draw.choice(["bit", "bit", "head", "head", "node", "zero", "copy", "end", "noise"])
    if how in ("bit", "head", "node"):
        # Where the structure stands: in the first bytes of a page, and at the nodes behind them.
        reach = {"bit": len(raw), "head": 160, "node": PAGE}[how]
        at = draw.randrange(len(raw)) if how == "bit" else page + draw.randrange(reach)
        raw[at] ^= 1 << draw.randrange(8)
        return f"{how}@{at}", bytes(raw)
    if how == "zero":
        raw[page : page + PAGE] = bytes(PAGE)
    elif how == "copy":
        other = draw.randrange(len(raw) // PAGE) * PAGE
        raw[page : page + PAGE] = raw[other : other + PAGE]
    elif how == "end":
        del raw[draw.randrange(len(raw)) :]
    else:
        raw[page + 16 : page + PAGE] = draw.randbytes(PAGE - 16)
    return f"{how}@{page}", bytes(raw)


def outcome(work: Path, note: str, whole: Report) -> str:
    try:
        report = verify_log(work, kept=[note], every_signature=True)
    except MunimentError as refusal:
        return refusal.code
    except Exception as problem:
        return f"OTHER {type(problem).__name__}"
    return "same" if report._replace(seconds=0) == whole else "OTHER report"


def main() -> None:
    source, work = Path(sys.argv[1]), Path(sys.argv[2])
    seed, first, count = (int(word) for word in sys.argv[3:])
    file, note = (source / "data.mdb").read_bytes(), (source / "checkpoint").read_text()
    whole = verify_log(source, kept=[note], every_signature=True)._replace(seconds=0)
    work.mkdir(exist_ok=True)
    (work / "checkpoint").write_text(note)
    draw = random.Random(seed)
    for number in range(count):
        what, raw = damaged(draw, file)
        if number >= first:
            (work / "data.mdb").write_bytes(raw)
            print(number, what, end=" ", flush=True)
            print(outcome(work, note, whole), flush=True)


if __name__ == "__main__":
    main()
