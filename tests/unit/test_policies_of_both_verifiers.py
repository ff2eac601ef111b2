"""`verify.py` stands alone, so it reads a trust policy by itself: as everybody else here does."""

from __future__ import annotations

import pytest

from cli import bundle_verifier as verifier
from eventstore.quorum import TrustPolicyInvalid, parse_policy
from support.evidence import SECOND, Witness
from support.witnesses import Grown

W1, W2, W3 = (Witness(f"witness.example/w{n}", bytes([n]) * 32) for n in (1, 2, 3))
LINES = "".join(f"witness w{n} {one.vkey}\n" for n, one in enumerate((W1, W2, W3), 1))
PLAIN = str(Grown(("a", 1), origin="witness.example/w1").signer.verifier)

MEANT = [
    f"{LINES}quorum w2\n",
    f"{LINES}group g 2 w1 w2 w3\nquorum g\n",
    f"{LINES}group g any w1 w2\ngroup h all g w3\nquorum h\n",
    f"# a comment\n\n{LINES}quorum none\n",
]
REFUSED = {
    "no quorum": LINES,
    "two quorums": f"{LINES}quorum w1\nquorum w1\n",
    "a quorum of nobody": f"{LINES}quorum w4\n",
    "a name twice": f"{LINES}witness w1 {Witness('x', b'4' * 32).vkey}\nquorum w1\n",
    "a key twice": f"{LINES}witness w4 {W1.vkey}\ngroup g 2 w1 w4\nquorum g\n",
    "a member twice": f"{LINES}group g 2 w1 w1\nquorum g\n",
    "a member of two groups": f"{LINES}group g any w1\ngroup h 2 w1 g\nquorum h\n",
    "a member of nothing": f"{LINES}group g any w1 w9\nquorum g\n",
    "more than its members": f"{LINES}group g 3 w1 w2\nquorum g\n",
    "none of its members": f"{LINES}group g 0 w1 w2\nquorum g\n",
    "a witness called none": f"witness none {W1.vkey}\nquorum none\n",
    "a key that does not cosign": f"witness w1 {PLAIN}\nquorum w1\n",
    "another word": f"{LINES}trust w1\nquorum w1\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_no_policy_is_none_to_either(text: str) -> None:
    with pytest.raises(TrustPolicyInvalid):
        parse_policy(text.encode())
    with pytest.raises(verifier.Refused):
        verifier.Policy(text)


@pytest.mark.parametrize("text", MEANT)
def test_both_find_the_same_quorums(text: str) -> None:
    note = Grown(("a", 9)).note(9)
    for chosen in range(8):
        signed = note
        for number, one in enumerate((W1, W2, W3)):
            if chosen >> number & 1:
                signed = one.cosigned(signed, (100 + number) * SECOND)
        ours = bool(parse_policy(text.encode()).seen(signed))
        theirs = verifier.Policy(text).time_of(verifier.read_note(signed.encode()))
        assert ours == (theirs is not None), (text, chosen)


def test_both_leave_a_log_that_the_policy_does_not_name() -> None:
    log, other = Grown(("a", 9)), Grown(("a", 9), key=2)
    signed = W1.cosigned(log.note(9), SECOND)
    for named, means in ((log, True), (other, False)):
        text = f"log {named.signer.verifier}\n{LINES}quorum w1\n"
        assert bool(parse_policy(text.encode()).seen(signed)) == means
        key = verifier.read_key(str(log.signer.verifier))
        assert verifier.Policy(text).means(key) == means
