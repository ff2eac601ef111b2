"""A witness under two histories at once, told by what it answered: run under strace, and killed.

`python -m crash.witness_driver FOLDER` opens the witness in FOLDER, and four threads submit two
histories of one log that part after ten records.  Each cosignature is said, on standard output,
as `SIZE BRANCH NOTE-LINE` in hexadecimal, after it was given and before anything else is asked.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from eventstore.errors import MunimentError
from eventstore.submission import SizeDiffers
from eventstore.witness import Witness
from support.witnesses import Grown, now

BRANCHES = {"a": Grown(("a", 24)), "b": Grown(("a", 10), ("b", 14))}
LAST = 24


def submit(witness: Witness, branch: str) -> None:
    """Submit every size of *branch*, from what the witness says that it knows."""
    log, old, new = BRANCHES[branch], 0, 1
    while new <= LAST:
        try:
            line = witness.add_checkpoint(log.submission(old, new), now)
        except SizeDiffers as refused:
            if refused.size == old or refused.size > LAST:
                return
            old, new = refused.size, max(new, refused.size)
        except MunimentError:
            return
        else:
            said = f"{new} {branch} {line.encode().hex()}\n"
            os.write(1, said.encode())
            old, new = new, new + 1


def main() -> None:
    witness = Witness(Path(sys.argv[1]))
    threads = [
        threading.Thread(target=submit, args=(witness, branch)) for branch in BRANCHES for _ in "12"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    witness.close()
    os.write(1, b"done\n")


if __name__ == "__main__":
    main()
