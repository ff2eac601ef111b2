"""An auditor's key survives paper, and its file gives nothing away."""

import os

import pytest

from eventstore import auditor
from eventstore.errors import (
    AuditorKeyDamaged,
    AuditorKeyInvalid,
    AuditorKeyLocked,
    AuditorKeyWrong,
)

PRIVATE = bytes(range(32))
PUBLIC = auditor.public_of(PRIVATE)
TEXT = auditor.to_text(PUBLIC)
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def test_a_public_key_comes_back_as_it_was_read_from_paper() -> None:
    bare = TEXT.replace("-", "")
    for read in (
        TEXT,
        TEXT.lower(),
        TEXT.upper(),
        bare,
        TEXT.replace("-", " "),
        f"  {TEXT}\n",
        TEXT[:5] + TEXT[5:].replace("0", "O").replace("1", "l"),
        TEXT.replace("1", "I"),
    ):
        assert auditor.from_text(read) == PUBLIC
    assert len(TEXT) <= 68


def test_one_letter_misread_is_always_met() -> None:
    for at in range(5, len(TEXT)):
        for letter in LETTERS:
            if TEXT[at] not in ("-", letter):
                with pytest.raises(AuditorKeyInvalid):
                    auditor.from_text(TEXT[:at] + letter + TEXT[at + 1 :])


def test_groups_left_out_repeated_or_exchanged_are_met() -> None:
    first, *groups = TEXT.split("-")
    for wrong in (
        groups[1:],
        [*groups, groups[0]],
        [groups[1], groups[0], *groups[2:]],
        groups[::-1],
        [],
        [*groups[:-1], groups[-1][:-1] + "U"],
        [*groups[:-1], groups[-1][:-1] + "\N{GREEK CAPITAL LETTER ALPHA}"],
    ):
        with pytest.raises(AuditorKeyInvalid):
            auditor.from_text("-".join([first, *wrong]))
    with pytest.raises(AuditorKeyInvalid):
        auditor.from_text("mna2-" + "-".join(groups))


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_private_key_comes_back_from_its_file(passphrase: bytes | None) -> None:
    file = auditor.to_file(PRIVATE, passphrase, os.urandom)
    assert auditor.from_file(file, lambda: passphrase or b"") == PRIVATE
    assert (PRIVATE in file) == (passphrase is None)


def test_a_sealed_private_key_needs_its_passphrase() -> None:
    file = auditor.to_file(PRIVATE, b"correct horse", os.urandom)
    with pytest.raises(AuditorKeyLocked):
        auditor.from_file(file, None)
    with pytest.raises(AuditorKeyWrong):
        auditor.from_file(file, lambda: b"wrong horse")


def test_a_file_with_any_byte_changed_or_missing_is_damaged() -> None:
    for file in (
        auditor.to_file(PRIVATE, None, os.urandom),
        auditor.to_file(PRIVATE, b"correct horse", os.urandom),
    ):
        for at in range(len(file)):
            changed = file[:at] + bytes((file[at] ^ 1,)) + file[at + 1 :]
            for damaged in (changed, file[:at]):
                with pytest.raises(AuditorKeyDamaged):
                    auditor.from_file(damaged, lambda: b"correct horse")
