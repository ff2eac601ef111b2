"""A witness cosigns one history of each log it trusts, and keeps what shows that there were two."""

import itertools
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.checkpoint import parse_checkpoint, sign_note
from eventstore.cosignature import parse_cosigner
from eventstore.errors import MunimentError
from eventstore.submission import (
    ForkSeen,
    GrowthUnproved,
    LogKeyUnknown,
    LogUnknown,
    SizeDiffers,
    SubmissionMalformed,
)
from eventstore.witness import Witness, WitnessExists, WitnessNameInvalid, WitnessNotFound
from support.witnesses import NOW, Grown, now, witness_in

LOG = Grown(("a", 40))
FORK = Grown(("a", 10), ("b", 30))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = witness_in(tmp_path / "witness", LOG)
    yield made
    made.close()


def submit(witness: Witness, log: Grown, old: int, new: int) -> int:
    """The time of the cosignature that it gives, checked as others check it."""
    line = witness.add_checkpoint(log.submission(old, new), now)
    seconds = witness.key.time_in(log.note(new) + line)
    assert seconds is not None
    return seconds


def test_a_log_that_grows_is_cosigned_each_time_with_the_time(witness: Witness) -> None:
    sizes = [0, 1, 2, 3, 8, 8, 13, 32, 40]
    for old, new in itertools.pairwise(sizes):
        assert submit(witness, LOG, old, new) == NOW


def test_a_rollback_is_refused_with_the_size_that_it_knows(witness: Witness) -> None:
    submit(witness, LOG, 0, 20)
    with pytest.raises(SizeDiffers) as refused:
        submit(witness, LOG, 0, 10)
    assert (refused.value.size, type(refused.value)) == (20, SizeDiffers)
    assert submit(witness, LOG, 20, 40) == NOW


@pytest.mark.parametrize("old", [0, 10, 20])
def test_two_roots_for_one_size_are_refused_and_both_kept(witness: Witness, old: int) -> None:
    submit(witness, LOG, 0, 20)
    with pytest.raises(ForkSeen):
        submit(witness, FORK, old, 20)
    (kept,) = witness.evidence()
    assert (kept.first, kept.second, kept.time) == (LOG.note(20), FORK.note(20), NOW)


def test_a_fork_of_a_size_that_it_cosigned_long_ago_is_kept_too(witness: Witness) -> None:
    submit(witness, LOG, 0, 20)
    submit(witness, LOG, 20, 40)
    with pytest.raises(ForkSeen) as refused:
        submit(witness, FORK, 0, 20)
    assert refused.value.size == 40
    assert [kept.second for kept in witness.evidence()] == [FORK.note(20)]


def test_what_shows_a_fork_is_kept_once_and_without_foreign_lines(witness: Witness) -> None:
    submit(witness, LOG, 0, 20)
    stranger = Grown(("a", 1), key=9).signer
    for _ in range(3):
        text = parse_checkpoint(FORK.note(20)).text
        note = sign_note(text, stranger, FORK.signer)
        with pytest.raises(ForkSeen):
            witness.add_checkpoint(f"old 20\n\n{note}".encode(), now)
    assert [kept.second for kept in witness.evidence()] == [FORK.note(20)]


def test_a_history_that_parts_from_the_one_it_knows_is_refused(witness: Witness) -> None:
    submit(witness, LOG, 0, 20)
    for path in (FORK.proof(20, 30), LOG.proof(20, 30), [], [bytes(32)] * 5):
        with pytest.raises(GrowthUnproved):
            witness.add_checkpoint(FORK.submission(20, 30, path), now)
    assert witness.evidence() == []
    assert submit(witness, LOG, 20, 21) == NOW


def test_a_log_that_it_does_not_know_and_a_key_that_it_does_not_trust_are_refused(
    witness: Witness,
) -> None:
    with pytest.raises(LogUnknown):
        submit(witness, Grown(("a", 40), origin="other.example/log"), 0, 1)
    with pytest.raises(LogKeyUnknown):
        submit(witness, Grown(("a", 40), key=2), 0, 1)


def test_after_a_rotation_the_new_key_counts_once_it_is_trusted(witness: Witness) -> None:
    rotated = Grown(("a", 40), key=2)
    submit(witness, LOG, 0, 20)
    with pytest.raises(LogKeyUnknown):
        submit(witness, rotated, 20, 30)
    assert witness.trust(rotated.signer.verifier)
    assert not witness.trust(rotated.signer.verifier)
    assert submit(witness, rotated, 20, 30) == NOW


GOOD = LOG.submission(0, 8).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        GOOD.replace("old 0", "old 00"),
        GOOD.replace("old 0", "old 9"),
        GOOD.replace("old 0", "old -1"),
        GOOD.replace("old 0\n", "old 0\n" + "A" * 43 + "=\n"),
        GOOD.replace("old 0\n", "old 0\nAAAA\n"),
        GOOD.replace("\n\n", "\n", 1),
        GOOD + "\x00",
        GOOD + "x" * 200_000,
    ],
)
def test_what_is_no_submission_is_refused(witness: Witness, body: str | bytes) -> None:
    with pytest.raises(SubmissionMalformed):
        witness.add_checkpoint(body if isinstance(body, bytes) else body.encode(), now)


def test_it_remembers_what_it_cosigned_and_who_it_is(tmp_path: Path) -> None:
    made = witness_in(tmp_path / "witness", LOG)
    key = str(made.key)
    submit(made, LOG, 0, 20)
    made.close()
    again = Witness(tmp_path / "witness")
    assert (str(again.key), str(parse_cosigner(key))) == (key, key)
    with pytest.raises(SizeDiffers):
        submit(again, LOG, 0, 30)
    assert again.last(LOG.signer.verifier.name) == parse_checkpoint(LOG.note(20))
    again.close()


def test_only_its_owner_may_read_its_key(tmp_path: Path) -> None:
    witness_in(tmp_path / "witness").close()
    place = tmp_path / "witness"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (place, place / "key")]
    assert modes == [0o700, 0o600]


def test_a_witness_is_made_once_and_has_a_plain_name(tmp_path: Path) -> None:
    witness_in(tmp_path / "witness").close()
    with pytest.raises(WitnessExists):
        witness_in(tmp_path / "witness")
    for name in ("", "a b", "a+b", "a\n", "x" * 256, "a\u2003b"):
        with pytest.raises(WitnessNameInvalid):
            witness_in(tmp_path / "other", name=name)
    with pytest.raises(WitnessNotFound):
        Witness(tmp_path / "other")


def test_of_many_who_submit_two_histories_at_once_one_history_is_cosigned(
    witness: Witness,
) -> None:
    cosigned: list[tuple[int, bytes]] = []

    def keep_submitting(log: Grown) -> None:
        old = 0
        for new in range(11, 41):
            for _ in range(3):
                try:
                    witness.add_checkpoint(log.submission(old, new), now)
                except SizeDiffers as refused:
                    if refused.size > new:
                        break
                    old = refused.size
                except MunimentError:
                    break
                else:
                    cosigned.append((new, log.root(new)))
                    old = new
                    break

    threads = [
        threading.Thread(target=keep_submitting, args=(log,)) for log in (LOG, FORK) for _ in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    roots: dict[int, set[bytes]] = {}
    for size, root in cosigned:
        roots.setdefault(size, set()).add(root)
    assert roots
    assert all(len(found) == 1 for found in roots.values())
    one = {
        "a" if root == LOG.root(size) else "b" for size, found in roots.items() for root in found
    }
    assert len(one) == 1
