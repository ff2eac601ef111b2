"""The second key of a log follows from the first, which endorses it, and nobody else does."""

from hashlib import sha256

import pytest

from eventstore.checkpoint import Signer, sign_note
from eventstore.cosignature import witness_key
from eventstore.errors import KeyChainBroken
from eventstore.second_key import SecondSigner, endorse_second, read_endorsement

SECRET = bytes(range(32))
SIGNER = Signer("muniment/00/changes", SECRET)
SECOND = SecondSigner("muniment/00/changes", SECRET).cosigner


def test_the_key_of_a_secret_never_changes() -> None:
    # Published once, it must come out the same in every release.
    assert (
        sha256(SECOND.public).hexdigest()
        == "07c160739d60f4071f9082cbc64a6ab68e2c43a83375bbfe5bc65aa4db7e3ec6"
    )


def test_an_endorsement_says_from_where_on_which_key_signs() -> None:
    note = endorse_second(17, SIGNER, SECOND)
    assert read_endorsement(note, SIGNER.verifier) == (17, SECOND)


def text(start: str = "17", header: str = "muniment/second-key/v1", second: object = SECOND) -> str:
    first = SIGNER.verifier
    return f"{header}\n{first.name}\n{start}\n{first}\n{second}\n"


@pytest.mark.parametrize(
    "said",
    [
        text(start="017"),
        text(start="-1"),
        text(start="\u0661"),
        text(header="muniment/second-key/v2"),
        text() + "more\n",
        text(second=witness_key("muniment/00/changes", SECRET)),
        text(second=SecondSigner("muniment/01/changes", SECRET).cosigner),
        text(second=SIGNER.verifier),
        "\n",
    ],
)
def test_an_endorsement_that_says_anything_else_is_refused(said: str) -> None:
    with pytest.raises(KeyChainBroken):
        read_endorsement(sign_note(said, SIGNER), SIGNER.verifier)


def test_nobody_elses_word_endorses_it() -> None:
    other = Signer("muniment/00/changes", bytes(32))
    with pytest.raises(KeyChainBroken):
        read_endorsement(sign_note(text(), other), SIGNER.verifier)
    with pytest.raises(KeyChainBroken):
        read_endorsement("", SIGNER.verifier)
