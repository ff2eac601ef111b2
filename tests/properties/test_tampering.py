"""One kept checkpoint is enough: whatever is done to a log afterwards, it no longer verifies.

The logs are those of a vault with a past: about sixty records each, three signing keys, a purge, a
clock that stepped back.  The attacker is given more and more: a bit to flip, the order of records,
older copies of the same store, records of another vault, keys of his own, and in the end the
operator's own signing keys, those that were destroyed included.  Each tampering is judged against
one checkpoint that somebody kept, at a size drawn anew, and must be refused by a VerificationFailed:
a refusal by any other error would be one by accident.

Draws come from a seeded generator and not from Hypothesis: there is nothing to shrink in a flipped
bit, and ten thousand cases would spend most of their time on being drawn.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from eventstore import head as heads
from eventstore import record
from eventstore.access_events import SecretRead
from eventstore.checkpoint import Signer, parse_checkpoint, sign_checkpoint, sign_note
from eventstore.errors import VerificationFailed
from eventstore.event import Context
from eventstore.events import SecretSet
from eventstore.head import Epochs, Head, SigningEpoch
from eventstore.merkle import Frontier, leaf_hash
from eventstore.record import KINDS, Draft, Sealing
from eventstore.verify import verify
from support.pasts import LOGS, Past, Seen, live
from support.vaults import START, Clock, check_store, make_vault, open_store

Records = tuple[tuple[bytes, bytes], ...]


class Case(NamedTuple):
    """One tampering: what it is called, what the verifier is shown, and the checkpoint he kept."""

    kind: str
    shown: Seen
    kept: str


@pytest.fixture(scope="module")
def pasts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Past]:
    """Two vaults with the same kind of past: the one that is attacked, and one to steal from."""
    found = {}
    for name in ("attacked", "other"):
        home, clock = tmp_path_factory.mktemp(name) / "store", Clock(START)
        store, _ = make_vault(home, clock)
        store.close()
        found[name] = live(home, clock, lambda home=home, clock=clock: open_store(home, clock))  # type: ignore[misc]
        check_store(home, clock)
    return found


class Bench:
    """One log under attack, with everything an attacker may have got hold of."""

    def __init__(self, pasts: dict[str, Past], log: str, seed: int) -> None:
        self.random = random.Random(f"{log} {seed}")
        self.log = log
        self.kind = KINDS[log]
        self.past = pasts["attacked"]
        self.states = self.past.states[log]
        self.now = self.states[-1]
        self.other = pasts["other"].states[log][-1]
        self.operator = self.past.signing[log]
        self.identity = heads.decode_identity(self.now.identity)
        self.epochs = heads.decode_epochs(self.now.epochs)

    def kept(self, above: int = -1) -> str:
        """A checkpoint that was kept at some time, of more than *above* records."""
        notes = [state.checkpoint for state in self.states if len(state.records) > above]
        return self.random.choice(notes)

    def case(self, kind: str, shown: Seen, above: int = -1) -> Case:
        return Case(kind, shown, self.kept(above))

    def position(self) -> int:
        return self.random.randrange(len(self.now.records))

    def with_record(self, position: int, key: bytes, row: bytes) -> Seen:
        records = self.now.records
        return self.now._replace(
            records=(*records[:position], (key, row), *records[position + 1 :])
        )

    def noise(self, size: int) -> bytes:
        return self.random.randbytes(size)

    # -- what the operator himself can do ----------------------------------------------------------

    def signer_at(self, size: int) -> Signer:
        return self.operator[self.epochs.signing_index(size)]

    def head_of(self, records: Records) -> bytes:
        """The head that fits *records*, as whoever can hash may write it."""
        frontier, last = Frontier(), 0
        for _, row in records:
            leaf = row[: record.LEAF_SIZE]
            frontier.add(leaf_hash(leaf))
            last = int.from_bytes(leaf[10:18], "big")
        return heads.encode_head(Head(len(records), last, tuple(frontier.hashes)))

    def signed(self, records: Records, signer: Signer | None = None, epochs: bytes = b"") -> Seen:
        """*records* with a head and a checkpoint that fit them, signed by the operator's key."""
        head = self.head_of(records)
        size, root = len(records), heads.decode_head(head).root()
        note = sign_checkpoint(size, root, signer or self.signer_at(size))
        known = epochs or self.now.epochs
        return self.now._replace(records=records, head=head, epochs=known, checkpoint=note)

    def forged_row(self, position: int, signer: Signer | None = None, after: int = 0) -> bytes:
        """A record of things that never happened, whole in itself, signed by the operator's key."""
        context = Context(principal="nobody@example.com", auth="test", rule="forged")
        name, version = f"forged-{self.random.random()}", self.noise(16).hex()
        event = (
            SecretSet(name=name, version=version)
            if self.kind.signed
            else SecretRead(name=name, version=version, at=position)
        )
        time = self.time_of(position, after)
        keys = Sealing(
            self.past.audit[self.log][-1],
            None,
            (signer or self.signer_at(position)) if self.kind.signed else None,
            self.noise(32),
        )
        draft = Draft(context, event)
        return record.build(self.kind, self.identity.log_id, position, time, draft, keys).row

    def time_of(self, position: int, after: int) -> int:
        """The time of the record that stood there, or one past all of them."""
        if position >= len(self.now.records):
            return START + 10**15 + position + after
        return int.from_bytes(self.now.records[position][1][10:18], "big") + after


# --- generators: each goes on for ever -----------------------------------------------------------

Generator = Callable[[Bench], Iterator[Case]]
GENERATORS: dict[str, Generator] = {}


def generator(make: Generator) -> Generator:
    GENERATORS[make.__name__] = make
    return make


@generator
def a_bit_of_a_record(bench: Bench) -> Iterator[Case]:
    while True:
        position = bench.position()
        key, row = bench.now.records[position]
        at = bench.random.randrange(len(row))
        envelope_at = record.LEAF_SIZE + (record.SIGNATURE_SIZE if bench.kind.signed else 0)
        part = "leaf" if at < record.LEAF_SIZE else "signature" if at < envelope_at else "envelope"
        changed = bytearray(row)
        changed[at] ^= 1 << bench.random.randrange(8)
        yield bench.case(f"a bit of a {part}", bench.with_record(position, key, bytes(changed)))


@generator
def bytes_of_a_record(bench: Bench) -> Iterator[Case]:
    while True:
        position = bench.position()
        key, row = bench.now.records[position]
        at, size = bench.random.randrange(len(row)), bench.random.randrange(1, 40)
        how = bench.random.choice(["set", "cut", "put", "end", "zero"])
        if how == "set":
            changed = row[:at] + bench.noise(size) + row[at + size :]
        elif how == "cut":
            changed = row[:at] + row[at + size :]
        elif how == "put":
            changed = row[:at] + bench.noise(size) + row[at:]
        elif how == "end":
            changed = row[:at]
        else:
            changed = row[:at] + bytes(len(row) - at)
        yield bench.case(f"bytes of a record: {how}", bench.with_record(position, key, changed))


@generator
def the_key_of_a_record(bench: Bench) -> Iterator[Case]:
    while True:
        position = bench.position()
        key, row = bench.now.records[position]
        changed = bytearray(key)
        changed[bench.random.randrange(8)] ^= 1 << bench.random.randrange(8)
        other = bench.random.choice([bytes(changed), key[1:], key + b"\0", b""])
        yield bench.case("a record's key", bench.with_record(position, other, row))


@generator
def a_bit_of_a_row(bench: Bench) -> Iterator[Case]:
    while True:
        name = bench.random.choice(["identity", "head", "epochs"])
        row = bytearray(getattr(bench.now, name))
        at, bit = bench.random.randrange(len(row)), bench.random.randrange(8)
        row[at] ^= 1 << bit
        yield bench.case(f"a bit of the {name}", _with_row(bench.now, name, bytes(row)))


@generator
def bytes_of_a_row(bench: Bench) -> Iterator[Case]:
    while True:
        name = bench.random.choice(["identity", "head", "epochs"])
        row = getattr(bench.now, name)
        at = bench.random.randrange(len(row))
        how = bench.random.choice(["cut", "put", "end", "other", "older"])
        if how == "cut":
            changed = row[:at] + row[at + bench.random.randrange(1, 9) :]
        elif how == "put":
            changed = row[:at] + bench.noise(bench.random.randrange(1, 9)) + row[at:]
        elif how == "end":
            changed = row[:at]
        elif how == "other":
            changed = getattr(bench.other, name)
        else:
            changed = getattr(bench.random.choice(bench.states[:-1]), name)
        yield bench.case(f"the {name}: {how}", _with_row(bench.now, name, changed))


@generator
def the_checkpoint(bench: Bench) -> Iterator[Case]:
    while True:
        note = bench.now.checkpoint
        at = bench.random.randrange(len(note))
        how = bench.random.choice(["bit", "letter", "cut", "end", "gone", "other", "older"])
        if how == "bit":
            raw = bytearray(note.encode())
            raw[at % len(raw)] ^= 1 << bench.random.randrange(8)
            changed = raw.decode(errors="replace")
        elif how == "letter":
            changed = note[:at] + bench.random.choice("0123456789\nAz+/=\u2014 ") + note[at + 1 :]
        elif how == "cut":
            changed = note[:at] + note[at + bench.random.randrange(1, 9) :]
        elif how == "end":
            changed = note[:at]
        elif how == "gone":
            changed = ""
        elif how == "other":
            changed = bench.other.checkpoint
        else:
            # An older checkpoint beside newer records leaves a tail that nobody signed; only a kept
            # one of the whole size would vouch for it.
            changed = bench.random.choice(bench.states[:-1]).checkpoint
            kept = bench.random.choice(bench.states[:-1]).checkpoint
            yield Case("the checkpoint: older", bench.now._replace(checkpoint=changed), kept)
            continue
        yield bench.case(f"the checkpoint: {how}", bench.now._replace(checkpoint=changed))


@generator
def the_kept_checkpoint(bench: Bench) -> Iterator[Case]:
    """The other way round: what was kept is not of this history."""
    while True:
        note = bench.kept()
        raw = bytearray(note.encode())
        raw[bench.random.randrange(len(raw))] ^= 1 << bench.random.randrange(8)
        yield Case("a bit of the kept checkpoint", bench.now, raw.decode(errors="replace"))


@generator
def the_order_of_records(bench: Bench) -> Iterator[Case]:
    while True:
        keys = [key for key, _ in bench.now.records]
        rows = [row for _, row in bench.now.records]
        one, two = bench.position(), bench.position()
        how = bench.random.choice(["drop", "double", "swap", "move", "shuffle", "replace"])
        if how == "drop":
            del rows[one]
        elif how == "double":
            rows.insert(two, rows[one])
        elif how == "swap":
            rows[one], rows[two] = rows[two], rows[one]
        elif how == "move":
            rows.insert(two, rows.pop(one))
        elif how == "shuffle":
            some = rows[one : one + 8]
            bench.random.shuffle(some)
            rows[one : one + 8] = some
        else:
            rows[one] = rows[two]
        if bench.random.random() < 0.5:  # as they lie in the table, with the keys going along
            pairs = dict(bench.now.records)
            by_row = {row: key for key, row in pairs.items()}
            records = tuple((by_row[row], row) for row in rows)
        else:
            more = [at.to_bytes(8, "big") for at in range(len(keys), len(rows))]
            records = tuple(zip(keys + more, rows, strict=False))
        shown = bench.now._replace(records=records)
        if how == "drop" and bench.random.random() < 0.5:
            how, shown = "drop, and a head that fits", shown._replace(head=bench.head_of(records))
        yield bench.case(f"the order of records: {how}", shown)


@generator
def a_tail_cut_off(bench: Bench) -> Iterator[Case]:
    """With more and more care taken: the last two show an older state that was once true."""
    while True:
        size = bench.random.randrange(len(bench.now.records))
        records = bench.now.records[:size]
        cut = bench.now._replace(records=records)
        how = bench.random.choice(["cut", "head", "operator", "older"])
        if how == "cut":
            yield bench.case("the tail cut off", cut)
        elif how == "head":
            shown = cut._replace(head=bench.head_of(records))
            yield bench.case("the tail cut off, and the head set back", shown)
        elif how == "older":
            older = bench.random.choice(bench.states[:-1])
            yield bench.case("the whole log put back to an older copy", older, len(older.records))
        else:
            shown = bench.signed(records)
            live = [epoch for epoch in bench.epochs.signing if epoch.start <= size]
            shown = shown._replace(epochs=heads.encode(Epochs(tuple(live))))
            yield bench.case("the tail cut off by the operator, who signs the rest", shown, size)


@generator
def a_fork(bench: Bench) -> Iterator[Case]:
    """The operator writes another history from some record on, with his own keys."""
    while True:
        start = bench.position()
        front, rest = bench.now.records[:start], bench.now.records[start + 1 :]
        forged = (start.to_bytes(8, "big"), bench.forged_row(start))
        how = bench.random.choice(["one", "rest", "shorter", "longer"])
        if how == "one":
            records = (*front, forged, *rest)
        else:
            stop = {
                "rest": len(bench.now.records),
                "shorter": bench.random.randrange(start + 1, len(bench.now.records) + 1),
                "longer": len(bench.now.records) + bench.random.randrange(1, 4),
            }[how]
            more = ((at.to_bytes(8, "big"), bench.forged_row(at)) for at in range(start + 1, stop))
            records = (*front, forged, *more)
        shown = bench.signed(records)
        if bench.epochs.signing[-1].start > len(records):
            live = [epoch for epoch in bench.epochs.signing if epoch.start <= len(records)]
            shown = shown._replace(epochs=heads.encode(Epochs(tuple(live))))
        yield bench.case(f"a fork by the operator: {how}", shown, start)


@generator
def a_record_of_another_vault(bench: Bench) -> Iterator[Case]:
    while True:
        position = bench.position()
        key, _ = bench.now.records[position]
        row = bench.random.choice(bench.other.records)[1]
        if bench.random.random() < 0.5:
            row = bench.other.records[min(position, len(bench.other.records) - 1)][1]
        shown = bench.with_record(position, key, row)
        if bench.random.random() < 0.5:
            yield bench.case("a record of another vault", shown)
            continue
        # Its leaf says where it stood, so it is put there, and the operator signs what comes out.
        yield bench.case(
            "a record of another vault, signed for by the operator",
            bench.signed(shown.records),
            position,
        )


@generator
def another_key(bench: Bench) -> Iterator[Case]:
    """The attacker signs everything anew with a key of his own, under the same log id."""
    while True:
        origin = bench.identity.origin
        own = Signer(origin, bench.noise(32))
        position = bench.position()
        rows = [row for _, row in bench.now.records]
        rows[position] = bench.forged_row(position, own)
        if bench.kind.signed:
            rows = [_signed_by(own, bench.identity.log_id, row) for row in rows]
        epochs = Epochs((SigningEpoch(0, str(own.verifier), ""),))
        how = bench.random.choice(["alone", "endorsing the real key at the end"])
        if how != "alone":
            # The real key's word for this is not to be had: a word of its own for something else.
            real = bench.epochs.signing[-1]
            later = SigningEpoch(len(rows), real.verifier, _endorsed_by(own, len(rows), real))
            epochs = Epochs((*epochs.signing, later))
        records = tuple((at.to_bytes(8, "big"), row) for at, row in enumerate(rows))
        shown = bench.signed(records, own, epochs=heads.encode(epochs))
        yield bench.case(f"a key of the attacker's own, {how}", shown)


@generator
def something_after_the_end(bench: Bench) -> Iterator[Case]:
    while True:
        records, end = bench.now.records, len(bench.now.records)
        key = end.to_bytes(8, "big")
        how = bench.random.choice(["garbage", "far away", "no checkpoint", "signed by nobody"])
        if how == "garbage":
            shown = (*records, (key, bench.noise(bench.random.randrange(700))))
        elif how == "far away":
            shown = (*records, (bench.noise(8), bench.noise(300)))
        else:
            nobody = Signer(bench.identity.origin, bench.noise(32))
            signer = nobody if how == "signed by nobody" else None
            row = bench.forged_row(end, signer)
            shown = (*records, (key, row))
        added = bench.now._replace(records=shown)
        if how in ("no checkpoint", "signed by nobody"):
            added = added._replace(head=bench.head_of(shown))
        yield bench.case(f"after the end: {how}", added)


def _with_row(shown: Seen, name: str, row: bytes) -> Seen:
    return Seen(**{**shown._asdict(), name: row})


def _endorsed_by(signer: Signer, start: int, real: SigningEpoch) -> str:
    """An endorsement of the key in *real*, with a signature that this key once made."""
    made = heads.endorse(start, signer, signer)
    text = made[: made.rindex("\n\n") + 1]
    first, _, rest = text.rpartition(str(signer.verifier))
    once = real.endorsement.splitlines(keepends=True)[-1]
    return sign_note(first + real.verifier + rest, signer) + once


def _signed_by(signer: Signer, log_id: bytes, row: bytes) -> bytes:
    leaf, rest = row[: record.LEAF_SIZE], row[record.LEAF_SIZE + record.SIGNATURE_SIZE :]
    return leaf + signer.sign(record.signed_message(log_id, leaf)) + rest


# --- the judge ----------------------------------------------------------------------------------


def judged(case: Case) -> str:
    """The code that refused *case*.  Whatever is no VerificationFailed goes through, as a failure."""
    try:
        verify(case.shown.evidence, kept=[case.kept], every_signature=True)
    except VerificationFailed as refusal:
        return refusal.code
    pytest.fail(f"{case.kind}: verified against a kept checkpoint of {_size(case.kept)} records")


def _size(note: str) -> int:
    return parse_checkpoint(note).size


def is_tampered(bench: Bench, case: Case) -> bool:
    """Whether a byte was changed: of what is shown, or of what was kept."""
    if case.shown != bench.now:
        return True
    return case.kept not in {state.checkpoint for state in bench.states}


PARTS = 4
SHARE = {"changes": 60, "access": 145}
"""Cases of each generator in one part.  `changes` takes longer, since each of its events is signed."""


def test_ten_thousand_tamperings_are_tried() -> None:
    assert PARTS * sum(SHARE.values()) * len(GENERATORS) >= 10_000


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("log", LOGS)
def test_no_tampering_passes_a_kept_checkpoint(pasts: dict[str, Past], log: str, part: int) -> None:
    bench = Bench(pasts, log, part)
    tried: Counter[tuple[str, str]] = Counter()
    for make in GENERATORS.values():
        tampered = (case for case in make(bench) if is_tampered(bench, case))
        for case in islice(tampered, SHARE[log]):
            tried[case.kind, judged(case)] += 1
    for (kind, code), count in sorted(tried.items()):
        print(f"{count:6} {kind}: {code}")
    assert tried.total() == SHARE[log] * len(GENERATORS)


@pytest.mark.parametrize("log", LOGS)
def test_what_was_not_touched_verifies(pasts: dict[str, Past], log: str) -> None:
    bench = Bench(pasts, log, 0)
    for state in bench.states:
        report = verify(bench.now.evidence, kept=[state.checkpoint], every_signature=True)
        assert report.size == len(bench.now.records)
    assert bench.signed(bench.now.records).checkpoint == bench.now.checkpoint


def test_a_trusted_key_refuses_a_log_that_another_signed(pasts: dict[str, Past]) -> None:
    """Without any kept checkpoint, the verifier key alone shows whose log it is."""
    bench = Bench(pasts, "changes", 0)
    trusted = str(bench.operator[-1].verifier)
    verify(bench.now.evidence, trusted=trusted, every_signature=True)
    for case in islice(another_key(bench), 20):
        with pytest.raises(VerificationFailed):
            verify(case.shown.evidence, trusted=trusted, every_signature=True)


# --- what stands beside the records ---------------------------------------------------------------


def _shortest(number: int) -> bytes:
    return heads.encode(Epochs((SigningEpoch(number, "", ""),)))[3:-2]


OTHERWISE: dict[str, Callable[[bytes, SigningEpoch], bytes]] = {
    "a number in a longer form": lambda row, second: row.replace(
        b"\x93" + _shortest(second.start), b"\x93\xce" + second.start.to_bytes(4, "big"), 1
    ),
    "a text in a longer form": lambda row, second: row.replace(
        _text(second.verifier),
        b"\xdb" + len(second.verifier).to_bytes(4, "big") + second.verifier.encode(),
    ),
    "an endorsement's signatures in another order": lambda row, second: row.replace(
        second.endorsement.encode(), _swapped(second.endorsement).encode()
    ),
}


def _text(text: str) -> bytes:
    return heads.encode(Epochs((SigningEpoch(0, text, ""),)))[4:-1]


def _swapped(note: str) -> str:
    *text, one, two = note.splitlines(keepends=True)
    return "".join([*text, two, one])


@pytest.mark.parametrize("how", OTHERWISE)
@pytest.mark.parametrize("log", LOGS)
def test_the_epochs_can_be_written_in_one_way_only(
    pasts: dict[str, Past], log: str, how: str
) -> None:
    bench = Bench(pasts, log, 0)
    epochs = OTHERWISE[how](bench.now.epochs, bench.epochs.signing[1])
    assert epochs != bench.now.epochs
    judged(bench.case(how, bench.now._replace(epochs=epochs)))


def test_a_retired_key_cannot_be_replaced_by_one_of_the_attackers(pasts: dict[str, Past]) -> None:
    """The leaves stay, so the history does; but its first events would be signed by a stranger."""
    bench = Bench(pasts, "changes", 0)
    stranger = Signer(bench.identity.origin, bench.noise(32))
    first, second, *later = bench.epochs.signing
    records = tuple(
        (key, _signed_by(stranger, bench.identity.log_id, row) if at < second.start else row)
        for at, (key, row) in enumerate(bench.now.records)
    )
    first = replace(first, verifier=str(stranger.verifier))
    for note in (
        second.endorsement,
        _endorsed_by(stranger, second.start, second),
        heads.endorse(second.start, stranger, stranger),
    ):
        epochs = Epochs((first, replace(second, endorsement=note), *later))
        shown = bench.now._replace(records=records, epochs=heads.encode(epochs))
        judged(bench.case("a retired key", shown))
