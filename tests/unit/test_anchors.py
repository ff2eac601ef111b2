"""What others said of a checkpoint is kept beside the log, whole, and bounds each record's time."""

import os
import stat
from pathlib import Path

import pytest

from eventstore.anchors import Seen, bracket, keep, keep_timestamp, kept
from eventstore.checkpoint import Signer, sign_checkpoint, sign_note, signatures
from eventstore.errors import CheckpointMalformed, HistoryForked

LOG = Signer("muniment/00/changes", bytes([1]) * 32)
OTHER = Signer("witness.example/w1", bytes([2]) * 32)
THIRD = Signer("witness.example/w2", bytes([3]) * 32)


def note(size: int, root: bytes = bytes(32)) -> str:
    return sign_checkpoint(size, root, LOG)


def cosigned(size: int, by: Signer) -> str:
    text, _ = signatures(note(size))
    return sign_note(text, LOG, by)


def test_a_note_gathers_the_signatures_of_all_who_signed_it(tmp_path: Path) -> None:
    keep(tmp_path, note(7))
    keep(tmp_path, cosigned(7, OTHER))
    keep(tmp_path, cosigned(7, THIRD))
    keep(tmp_path, note(9))
    seven, nine = kept(tmp_path)
    assert [name for name, _, _ in signatures(seven.note)[1]] == [
        LOG.verifier.name,
        OTHER.verifier.name,
        THIRD.verifier.name,
    ]
    assert (seven.size, nine.size, nine.note) == (7, 9, note(9))


def test_a_log_that_kept_nothing_has_nothing(tmp_path: Path) -> None:
    assert kept(tmp_path) == []


def test_time_stamps_stand_beside_their_checkpoint_in_the_order_they_came(tmp_path: Path) -> None:
    keep(tmp_path, note(7))
    stamps = tuple(bytes([number]) * 40 for number in range(12))
    for stamp in stamps:
        keep_timestamp(tmp_path, 7, stamp)
    assert kept(tmp_path)[0].timestamps == stamps


def test_only_their_owner_may_read_what_is_kept(tmp_path: Path) -> None:
    keep(tmp_path, note(7))
    keep_timestamp(tmp_path, 7, b"stamp")
    folder = tmp_path / "anchors"
    modes = {stat.S_IMODE(os.stat(folder / name).st_mode) for name in os.listdir(folder)}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})


def test_a_second_root_of_one_size_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    keep(tmp_path, note(7))
    with pytest.raises(HistoryForked):
        keep(tmp_path, note(7, bytes([1]) * 32))
    assert kept(tmp_path)[0].note == note(7)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", note(8).encode(), bytes(70_000)])
def test_a_note_that_is_not_what_its_name_says_is_told(tmp_path: Path, content: bytes) -> None:
    keep(tmp_path, note(7))
    (tmp_path / "anchors" / f"{7:020}.note").write_bytes(content)
    with pytest.raises(CheckpointMalformed):
        kept(tmp_path)


def test_a_record_came_between_the_last_word_before_and_the_first_word_after() -> None:
    seen = [
        Seen(10, 100, "w1", True),
        Seen(10, 110, "w2", True),
        Seen(20, 200, "w1", True),
        Seen(20, 190, "tsa", False),
        Seen(30, 300, "w1", True),
    ]
    assert bracket(seen, 10) == (seen[1], seen[3])
    assert bracket(seen, 19) == (seen[1], seen[3])
    assert bracket(seen, 9) == (None, seen[0])
    assert bracket(seen, 20) == (seen[2], seen[4])
    assert bracket(seen, 30) == (seen[4], None)


def test_an_old_checkpoint_that_is_stamped_late_makes_no_record_younger() -> None:
    late = Seen(10, 900, "tsa", False)
    assert bracket([late, Seen(20, 200, "w1", True)], 15) == (None, Seen(20, 200, "w1", True))
