"""How long does a long history take to check, and to fold into views again?

Verification reads every record, compares its envelope's hash, and hashes the tree; with every
signature it also checks each event's.  It is held against the least that anybody must do: read the
rows from LMDB and hash the same bytes, or check the same Ed25519 signatures.  A rebuild opens,
decodes and applies every event, writes the views sealed and digests them twice: it is held against
opening the same seals (HKDF-SHA256, AES-256-GCM) and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from _fill import fill, make_vault, names
from _measure import Figures, Side, heading, rate, ratio, scratch, table, take_turns

from eventstore import record
from eventstore.checkpoint import Verifier, parse_verifier
from eventstore.log_directory import evidence_in, verify_log
from eventstore.record import CHANGES, LEAF_SIZE, SIGNATURE_SIZE, Row
from vault.store import Store

MANY = 20_000
FEW = 2_000
SECRETS = 2_000

Work = Callable[[int], object]


class History(NamedTuple):
    """A `changes` log that lies closed on the disk, and what opens and checks its records."""

    directory: Path
    log_id: bytes
    verifier: Verifier
    audit_key: bytes
    rows: list[Row]

    @property
    def events(self) -> int:
        return len(self.rows)


def filled(home: Path, events: int) -> History:
    store, vault = make_vault(home)
    with store:
        fill(vault, events, names(SECRETS))
        with vault.changes.snapshot() as snapshot:
            return History(
                vault.changes.path,
                vault.changes.identity.log_id,
                parse_verifier(snapshot.epochs.signing[0].verifier),
                store.keyring.key(snapshot.numbers.audit_key(0)),
                [record.split(CHANGES, row) for _, row in snapshot.stored()],
            )


def repeating(once: Callable[[], object]) -> Work:
    def work(times: int) -> None:
        for _ in range(times):
            once()

    return work


def read_and_hash(history: History) -> None:
    """The rows from LMDB, and SHA-256 of each envelope and each leaf."""
    with evidence_in(history.directory) as evidence:
        for _, row in evidence.records:
            sha256(row[LEAF_SIZE + SIGNATURE_SIZE :]).digest()
            sha256(row[:LEAF_SIZE]).digest()


def check_signatures(history: History) -> None:
    for row in history.rows:
        message = record.signed_message(history.log_id, row.leaf)
        assert history.verifier.accepts(row.signature, message)


def open_seals(history: History) -> None:
    for row in history.rows:
        record.open_meta(CHANGES, history.log_id, row, history.audit_key)


def main() -> None:
    heading(__doc__)
    with scratch() as folder:
        many, few = filled(folder / "many", MANY), filled(folder / "few", FEW)
        # Another copy to rebuild: in one process a log is open once.
        shutil.copytree(folder / "many", folder / "live")
        shutil.copytree(folder / "many.key", folder / "live.key")
        with Store.open(folder / "live") as store:
            verify_all = repeating(lambda: verify_log(few.directory, every_signature=True))
            sides = [
                Side("read and hash", repeating(lambda: read_and_hash(many)), 1, many.events),
                Side("verify", repeating(lambda: verify_log(many.directory)), 1, many.events),
                Side("check signatures", repeating(lambda: check_signatures(few)), 1, few.events),
                Side("verify, every signature", verify_all, 1, few.events),
                Side("open seals", repeating(lambda: open_seals(many)), 1, many.events),
                Side("rebuild", repeating(store.vault().rebuild), 1, many.events),
            ]
            report(take_turns(sides, rounds=7))


def report(figures: list[Figures]) -> None:
    hashed, verified, signatures, every, opened, rebuilt = figures
    table(figures)
    rate(
        "verify, records",
        verified,
        "Python: some twenty calls a record besides the hashing",
        least=100_000,
    )
    ratio("verify against reading and hashing", verified.speed_against(hashed), "the same")
    ratio(
        "verify every signature against checking signatures",
        every.speed_against(signatures),
        "Ed25519, one signature at a time: OpenSSL has no batches",
    )
    rate(
        "rebuild, events",
        rebuilt,
        "Python on one processor: each event is opened, decoded, applied; rows are sealed a chunk",
        least=20_000,
    )
    ratio("rebuild against opening seals", rebuilt.speed_against(opened), "the same")


if __name__ == "__main__":
    main()
