"""Whatever happens to the bytes of a log's file, verifying it ends in a verdict and never in a crash.

LMDB believes its file.  Before `eventstore.pages` looked first, one flipped bit in two hundred ended
the interpreter, by SIGBUS or by an assertion, and a verifier that dies has said nothing.  So each
damage is verified in another process; if it dies, the line it did not finish says of what.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from eventstore.log_directory import verify_log
from support import damage
from support.pasts import LOGS, live
from support.vaults import Clock, check_store, make_vault, open_store

COUNT = 400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home, clock = tmp_path_factory.mktemp("whole") / "store", Clock()
    store, _ = make_vault(home, clock)
    store.close()
    live(home, clock, lambda: open_store(home, clock))
    check_store(home, clock)
    return home


@pytest.mark.parametrize("log", LOGS)
def test_a_damaged_file_is_refused_with_a_code_or_nothing_live_was_hit(
    home: Path, tmp_path: Path, log: str
) -> None:
    source = next((home / "vaults").glob(f"*/{log}"))
    told = _verified(source, tmp_path / "work")
    outcomes = Counter(line.split(maxsplit=2)[2] for line in told)
    print(outcomes)
    assert sum(outcomes.values()) == COUNT
    assert {code for code in outcomes if code != "same" and not code.startswith("verify.")} == set()
    assert min(outcomes["same"], outcomes["verify.record-altered"]) > COUNT / 10


@pytest.mark.parametrize("at", range(136, 144))
@pytest.mark.parametrize("page", [0, 4096])
def test_a_last_page_that_no_file_reaches_is_damage_and_no_full_disk(
    home: Path, tmp_path: Path, page: int, at: int
) -> None:
    source = next((home / "vaults").glob("*/access"))
    raw = bytearray((source / "data.mdb").read_bytes())
    raw[page + at] |= 0x80
    (tmp_path / "data.mdb").write_bytes(raw)
    note = (source / "checkpoint").read_text()
    (tmp_path / "checkpoint").write_text(note)
    whole = verify_log(source, kept=[note], every_signature=True)._replace(seconds=0)
    assert damage.outcome(tmp_path, note, whole) in ("same", "verify.record-altered")


def _verified(source: Path, work: Path) -> list[str]:
    child = [sys.executable, damage.__file__, str(source), str(work), "1", "0", str(COUNT)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=100, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1:]} ended it with {done.returncode}: {done.stderr}"
    return lines
