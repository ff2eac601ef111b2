"""A time stamp is believed for one text, under roots of the verifier's, and for nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventstore.anchors import Anchor, keep, keep_timestamp
from eventstore.checkpoint import parse_checkpoint
from eventstore.cosignature import witness_key
from eventstore.quorum import parse_policy
from eventstore.timestamps import Authorities, RootsInvalid, TimestampInvalid, request
from eventstore.trust import Trust
from support.outsiders import Authority
from support.terminal import Terminal
from support.witnesses import Grown

NOTE = Grown(("a", 9)).note(9)
TEXT = parse_checkpoint(NOTE).text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "one")


@pytest.fixture(scope="module")
def answer(authority: Authority) -> bytes:
    return authority.answer(request(TEXT).body)


def test_a_stamp_says_when_and_by_whom(authority: Authority) -> None:
    asked = request(TEXT)
    stamp = Authorities.of(authority.roots).check(authority.answer(asked.body), TEXT, asked.nonce)
    assert stamp.source == "CN=tsa"
    assert abs(stamp.time / 1_000_000 - time.time()) < 60


def test_it_holds_for_no_other_text_nonce_or_root(
    authority: Authority, answer: bytes, tmp_path: Path
) -> None:
    believed = Authorities.of(authority.roots)
    assert believed.check(answer, TEXT)
    for text, nonce in ((TEXT + "\n", None), (TEXT[:-1], None), (TEXT, 12_345)):
        with pytest.raises(TimestampInvalid):
            believed.check(answer, text, nonce)
    other = Authorities.of(Authority(tmp_path / "other").roots)
    with pytest.raises(TimestampInvalid):
        other.check(answer, TEXT)


def test_no_changed_byte_gives_another_time_or_text(authority: Authority, answer: bytes) -> None:
    believed = Authorities.of(authority.roots)
    whole = believed.check(answer, TEXT)
    refused = 0
    for at in range(0, len(answer), 3):
        changed = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        try:
            assert believed.check(changed, TEXT).time == whole.time
        except TimestampInvalid:
            refused += 1
    assert refused > len(answer) / 3 * 0.9


def test_what_is_no_answer_is_refused(authority: Authority, answer: bytes) -> None:
    for nothing in (b"", b"\x30\x00", answer[:-1], request(TEXT).body, b"\xff" * 900):
        with pytest.raises(TimestampInvalid):
            Authorities.of(authority.roots).check(nothing, TEXT)


def test_roots_are_certificates_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("no certificate\n")
    for name in ("empty", "gone"):
        with pytest.raises(RootsInvalid):
            Authorities.of(tmp_path / name)


def test_a_stamp_bounds_from_above_and_does_not_replace_a_quorum(
    authority: Authority, answer: bytes, tmp_path: Path
) -> None:
    keep(tmp_path, NOTE)
    keep_timestamp(tmp_path, 9, answer)
    anchor = Anchor(9, NOTE, (answer,))
    roots = Authorities.of(authority.roots)
    alone = Trust(None, roots)
    (seen,) = alone.seen(anchor)
    assert (seen.size, seen.witnessed) == (9, False)
    assert alone.newest(tmp_path) == (9, seen)
    none_needed = Trust(parse_policy(b"quorum none\n"), roots)
    assert none_needed.anchors(anchor)
    needed = f"witness w {witness_key('w.example', bytes(32))}\nquorum w\n"
    assert not Trust(parse_policy(needed.encode()), roots).anchors(anchor)
    assert not Trust(parse_policy(b"quorum none\n"), None).anchors(anchor)


@pytest.mark.parametrize("package", ["rfc3161_client", "urllib3"])
def test_without_the_extra_it_says_what_to_install(
    authority: Authority, tmp_path: Path, package: str
) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init", "acme")
    code = (
        f"import sys; sys.modules[{package!r}] = None; from cli.main import main; sys.exit(main())"
    )
    asked = ("checkpoint", "publish", "--tsa", "http://127.0.0.1:1")
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, *asked, "--tsa-roots", str(authority.roots)],
        env=terminal.environ,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert "muniment[evidence]" in ran.stderr
