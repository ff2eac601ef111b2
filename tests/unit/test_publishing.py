"""A log's checkpoint goes to witnesses; only what is checked is kept, whatever they answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventstore.anchors import kept
from eventstore.checkpoint import parse_verifier
from eventstore.cosignature import cosign
from eventstore.errors import HistoryForked
from eventstore.log import Log
from eventstore.proof import parse
from eventstore.quorum import parse_policy
from eventstore.submission import SizeDiffers, WitnessRefusal, read_submission
from eventstore.trust import Trust
from eventstore.witness import Witness
from server.outside import Answer, OutsideUnreachable
from server.publishing import Outcome, publish
from server.witness import answer_to
from support.public import Keys, grow_log
from support.witnesses import now, witness_in

URL = "http://witness.example"


class Wire:
    """Answers as the witness does, but for what *instead* answers."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.asked: list[bytes] = []
        self.instead: Callable[[bytes], Answer | None] = lambda body: None

    def post(self, url: str, body: bytes, kind: str) -> Answer:
        assert url == f"{URL}/add-checkpoint"
        self.asked.append(body)
        if (other := self.instead(body)) is not None:
            return other
        try:
            line = self.witness.add_checkpoint(body, now)
        except WitnessRefusal as refused:
            response = answer_to(refused)
            return Answer(response.status, "", response.body)
        return Answer(200, "text/plain", line.encode())


def reopened(path: Path) -> Log:
    return Log(path, Keys(), clock=lambda: 0, entropy=bytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    grow_log(tmp_path / "log", 300)
    return tmp_path / "log"


@pytest.fixture
def wire(path: Path, tmp_path: Path) -> Iterator[Wire]:
    witness = witness_in(tmp_path / "witness")
    log = reopened(path)
    witness.trust(parse_verifier(log.epochs().signing[-1].verifier))
    log.close()
    yield Wire(witness)
    witness.close()


def trust_of(wire: Wire) -> Trust:
    policy = f"witness one {wire.witness.key} {URL}/\nquorum one\n"
    return Trust(parse_policy(policy.encode()), None)


def published(path: Path, wire: Wire) -> Outcome:
    log = reopened(path)
    try:
        return publish(log, trust_of(wire), (), wire)
    finally:
        log.close()


def olds(wire: Wire) -> list[int]:
    return [read_submission(body).old for body in wire.asked]


def test_it_is_submitted_with_a_proof_from_what_the_witness_knows(path: Path, wire: Wire) -> None:
    assert published(path, wire).anchored
    grow_log(path, 1_000)
    assert published(path, wire).anchored
    assert olds(wire) == [0, 300]
    assert [anchor.size for anchor in kept(path)] == [300, 1_000]


def test_where_nothing_is_kept_the_witness_says_what_it_knows(path: Path, wire: Wire) -> None:
    published(path, wire)
    for file in (path / "anchors").iterdir():
        file.unlink()
    grow_log(path, 1_000)
    assert published(path, wire).anchored
    assert olds(wire) == [0, 0, 300]


def test_no_line_of_another_goes_to_a_witness(path: Path, wire: Wire) -> None:
    published(path, wire)
    (body,) = wire.asked
    assert body.decode().count("\N{EM DASH}") == 1
    assert parse(body.decode())


def test_a_witness_that_knows_more_or_another_root_disagrees(path: Path, wire: Wire) -> None:
    for known, asked in ((b"301\n", 1), (b"300\n", 2)):
        wire.asked.clear()
        wire.instead = lambda body, known=known: Answer(409, "text/x.tlog.size", known)  # type: ignore[misc]
        (problem,) = published(path, wire).problems
        assert problem.code == "witness.disagrees"
        assert len(wire.asked) == asked
    wire.instead = lambda body: Answer(422, "", b"")
    (problem,) = published(path, wire).problems
    assert problem.code == "witness.disagrees"


def forged(body: bytes) -> Answer:
    checkpoint = read_submission(body).checkpoint
    return Answer(200, "", cosign("witness.example/w1", bytes(32), checkpoint, 1).encode())


def of_another_size(body: bytes) -> Answer:
    checkpoint = read_submission(body).checkpoint._replace(size=299)
    return Answer(200, "", cosign("witness.example/w1", bytes(range(32)), checkpoint, 1).encode())


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: Answer(200, "", b""),
        lambda body: Answer(200, "", b"\xff\n"),
        lambda body: Answer(200, "", b"hello\n"),
        lambda body: Answer(200, "", b"\n\n" + body),
        lambda body: Answer(200, "", "\N{EM DASH} w 00000000\n".encode() * 60_000),
        forged,
        of_another_size,
        lambda body: Answer(404, "", b"witness.unknown-log\n"),
        lambda body: Answer(500, "", b"\x1b[31m"),
        lambda body: Answer(409, "", b"\n"),
        lambda body: Answer(409, "", b"-1\n"),
        lambda body: Answer(409, "", b"1" * 30),
        lambda body: Answer(302, "", b""),
    ],
)
def test_whatever_else_it_answers_nothing_is_kept(
    path: Path, wire: Wire, answer: Callable[[bytes], Answer]
) -> None:
    wire.instead = answer
    outcome = published(path, wire)
    (problem,) = outcome.problems
    assert (problem.code, outcome.anchored) == ("witness.declined", False)
    assert problem.message.isprintable()
    (anchor,) = kept(path)
    assert wire.witness.key.time_in(anchor.note) is None
    wire.instead = lambda body: None
    assert published(path, wire).anchored


def test_a_witness_that_changes_its_mind_for_ever_is_left_alone(path: Path, wire: Wire) -> None:
    sizes = iter(range(1, 300))
    wire.instead = lambda body: answer_with(SizeDiffers(next(sizes)))
    (problem,) = published(path, wire).problems
    assert (problem.code, len(wire.asked)) == ("witness.declined", 3)


def answer_with(refused: SizeDiffers) -> Answer:
    response = answer_to(refused)
    return Answer(response.status, "", response.body)


def test_one_who_does_not_answer_keeps_nothing_from_being_kept(path: Path, wire: Wire) -> None:
    def away(body: bytes) -> Answer:
        raise OutsideUnreachable("away")

    wire.instead = away
    (problem,) = published(path, wire).problems
    assert problem.code == "outside.unreachable"
    assert [anchor.size for anchor in kept(path)] == [300]


def test_a_copy_takes_along_what_others_said_of_it(path: Path, wire: Wire, tmp_path: Path) -> None:
    published(path, wire)
    log = reopened(path)
    log.copy(tmp_path / "copy")
    log.close()
    assert kept(tmp_path / "copy") == kept(path)
    names = [
        sorted(file.name for file in (place / "anchors").iterdir())
        for place in (path, tmp_path / "copy")
    ]
    assert names[0] == names[1]
    assert trust_of(wire).newest(tmp_path / "copy") is not None


def test_a_log_that_does_not_extend_an_anchor_is_not_published(path: Path, wire: Wire) -> None:
    published(path, wire)
    (file,) = (path / "anchors").glob("0*.note")
    lines = file.read_text().split("\n")
    lines[2] = "A" * 43 + "="
    file.write_text("\n".join(lines))
    with pytest.raises(HistoryForked, match="one size"):
        published(path, wire)
