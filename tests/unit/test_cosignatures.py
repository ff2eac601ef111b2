"""A cosignature is what C2SP says it is, and holds over nothing but what was cosigned."""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dilithium_py.ml_dsa import ML_DSA_44

from eventstore.checkpoint import parse_checkpoint, parse_verifier, signatures
from eventstore.cosignature import cosign, parse_cosigner, witness_key
from eventstore.errors import CheckpointMalformed
from eventstore.quorum import TrustPolicyInvalid, parse_policy
from eventstore.second_key import SecondSigner
from support.witnesses import Grown

LOG = Grown(("a", 9))
NAMES = ("w1.example", "w2.example", "w3.example", "w4.example")
PRIVATE = [bytes([number]) * 32 for number in range(20, 24)]
KEYS = [witness_key(name, private) for name, private in zip(NAMES, PRIVATE, strict=True)]


def cosigned(*by: int, size: int = 9, at: int = 1_700_000_000) -> str:
    note = LOG.note(size)
    found = parse_checkpoint(note)
    return note + "".join(cosign(NAMES[one], PRIVATE[one], found, at + one) for one in by)


def test_a_cosignature_signs_the_time_and_the_whole_checkpoint() -> None:
    note = cosigned(0)
    text, found = signatures(note)
    name, key_id, stamp = found[1]
    public = Ed25519PrivateKey.from_private_bytes(PRIVATE[0]).public_key()
    raw = public.public_bytes_raw()
    public.verify(stamp[8:], b"cosignature/v1\ntime 1700000000\n" + text.encode())
    assert key_id == sha256(NAMES[0].encode() + b"\n\x04" + raw).digest()[:4]
    assert (name, int.from_bytes(stamp[:8], "big")) == (NAMES[0], 1_700_000_000)
    assert KEYS[0].time_in(note) == 1_700_000_000


def test_it_holds_over_no_other_checkpoint_time_or_name() -> None:
    line = cosigned(0).splitlines(keepends=True)[-1]
    assert KEYS[0].time_in(LOG.note(8) + line) is None
    assert KEYS[0].time_in(LOG.note(9)) is None
    assert KEYS[1].time_in(LOG.note(9) + line) is None
    raw = bytearray(base64.b64decode(line.split(" ")[2]))
    for at in range(4, len(raw)):
        raw[at] ^= 1
        changed = f"\N{EM DASH} {NAMES[0]} {base64.b64encode(raw).decode()}\n"
        assert KEYS[0].time_in(LOG.note(9) + changed) is None
        raw[at] ^= 1


def test_the_second_signature_is_checked_by_an_ml_dsa_that_is_not_openssls() -> None:
    second = SecondSigner(LOG.signer.verifier.name, bytes(range(32)))
    found = parse_checkpoint(LOG.note(9))
    note = LOG.note(9) + second.line(found)
    (_, _), (name, key_id, stamp) = signatures(note)[1][0][:2], signatures(note)[1][1]
    origin = found.origin.encode()
    message = b"subtree/v1\n\0" + bytes([len(origin)]) + origin + bytes(8)
    message += bytes([len(origin)]) + origin + bytes(8) + (9).to_bytes(8, "big") + found.root
    public = second.cosigner.public
    assert ML_DSA_44.verify(public, message, stamp[8:])
    assert not ML_DSA_44.verify(public, message[:-1] + bytes([message[-1] ^ 1]), stamp[8:])
    assert key_id == sha256(origin + b"\n\x06" + public).digest()[:4]
    assert (name, stamp[:8], second.cosigner.time_in(note)) == (found.origin, bytes(8), 0)
    assert second.cosigner.time_in(LOG.note(8) + second.line(found)) is None


def test_the_second_key_follows_from_the_first_and_from_nothing_else() -> None:
    one, same, other = (
        SecondSigner("log", secret).cosigner for secret in (bytes(32), bytes(32), bytes(31) + b"\1")
    )
    assert one == same != other
    assert parse_cosigner(str(one)) == one


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a+b",
        str(LOG.signer.verifier),
        str(KEYS[0]).replace("w1", "w2"),
        str(KEYS[0])[:-4],
        str(KEYS[0]) + "\n",
        "a b+00000000+BAAA",
    ],
)
def test_what_is_no_cosigners_key_is_refused(line: str) -> None:
    with pytest.raises(CheckpointMalformed):
        parse_cosigner(line)


def test_a_log_key_is_no_witness_key_and_the_other_way_round() -> None:
    with pytest.raises(CheckpointMalformed):
        parse_verifier(str(KEYS[0]))


# --- policies -------------------------------------------------------------------------------------

POLICY = f"""
# two of three here, and one more
log {LOG.signer.verifier} https://log.example
witness one {KEYS[0]} https://w1.example
\twitness  two {KEYS[1]}
witness three {KEYS[2]}
witness four {KEYS[3]}
group many 2 one two three
group both all many four
quorum both
"""


@pytest.mark.parametrize(
    ("by", "enough"),
    [
        ((), False),
        ((0, 1), False),
        ((3,), False),
        ((0, 3), False),
        ((0, 1, 3), True),
        ((0, 2, 3), True),
        ((0, 1, 2, 3), True),
        ((0, 1, 2), False),
    ],
)
def test_a_quorum_is_what_the_groups_say(by: tuple[int, ...], enough: bool) -> None:
    policy, note = parse_policy(POLICY.encode()), cosigned(*by)
    assert policy.is_met(policy.cosigned(note)) is enough
    assert bool(policy.seen(note)) is enough


THREE = (
    "".join(f"witness w{one} {KEYS[one]}\n" for one in range(3)) + "group g 2 w0 w1 w2\nquorum g\n"
)


@pytest.mark.parametrize(
    ("times", "since", "until"),
    [
        ((100, 100, None), None, 100),
        ((100, 200, None), 100, 200),
        ((100, 200, 300), None, 200),
        ((1, 200, 210), None, 200),
        ((100, 200, 9_000_000_000), None, 200),
        ((1, 200, None), 1, 200),
        ((None, 200, 9_000_000_000), 200, 9_000_000_000),
    ],
)
def test_one_witness_of_two_that_are_needed_moves_no_bound_by_a_lie(
    times: tuple[int | None, ...], since: int | None, until: int
) -> None:
    """A bound lies between what honest ones say, or is further off; the first or last may lie."""
    found = parse_checkpoint(LOG.note(9))
    lines = [cosign(NAMES[n], PRIVATE[n], found, at) for n, at in enumerate(times) if at]
    (seen,) = parse_policy(THREE.encode()).seen(LOG.note(9) + "".join(lines))
    assert (seen.size, seen.time) == (9, until * 1_000_000)
    assert (seen.since or seen.time) == (since or until) * 1_000_000


def test_a_log_that_the_policy_does_not_name_is_not_believed() -> None:
    other = Grown(("a", 9), key=7)
    found = parse_checkpoint(other.note(9))
    lines = (cosign(NAMES[one], PRIVATE[one], found, 1_700_000_000) for one in (0, 1, 3))
    assert parse_policy(POLICY.encode()).seen(other.note(9) + "".join(lines)) == []


WITNESS = f"witness one {KEYS[0]}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        WITNESS,
        "quorum nobody\n",
        "quorum none\nquorum none\n",
        WITNESS + "quorum one\nquorum one\n",
        WITNESS + WITNESS + "quorum one\n",
        WITNESS + f"witness two {KEYS[0]}\nquorum one\n",
        f"witness none {KEYS[0]}\nquorum none\n",
        f"witness one {LOG.signer.verifier}\nquorum one\n",
        f"log {KEYS[0]}\nquorum none\n",
        WITNESS + "group g 2 one\nquorum g\n",
        WITNESS + "group g 0 one\nquorum g\n",
        WITNESS + "group g any\nquorum one\n",
        WITNESS + "group g any one one\nquorum g\n",
        WITNESS + "group g any one\ngroup h any one\nquorum g\n",
        WITNESS + "group g any none\nquorum g\n",
        "group g any one\n" + WITNESS + "quorum g\n",
        WITNESS + "quorum one\nquorumm\n",
        WITNESS + "quorum one\r\n",
        WITNESS + "quorum\u2003one\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(TrustPolicyInvalid):
        parse_policy(text.encode())


def test_without_witnesses_none_may_be_asked_for() -> None:
    assert parse_policy(b"quorum none\n").is_met({})


def test_names_are_bytes_and_not_letters() -> None:
    raw = f"witness \u212a {KEYS[0]}\nwitness K {KEYS[1]}\nquorum K\n".encode()
    policy = parse_policy(raw + b"# \xff\xfe\n")
    assert not policy.is_met(policy.cosigned(cosigned(0)))
    assert policy.is_met(policy.cosigned(cosigned(1)))
