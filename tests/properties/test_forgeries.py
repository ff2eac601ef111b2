"""More than 5,000 forged bundles, and the verifier that refuses each with the right verdict.

Two kinds of forgers.  One has a real bundle and no key: he changes bytes, members and manifests.  The
other has the vault's own keys, and so everything he makes is signed and fits; what stops him is what
the auditor brings along and what a witness has signed before.  Every family says how many it makes.
"""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli import bundle_verifier as verifier
from eventstore import anchors
from eventstore.checkpoint import parse_checkpoint, parse_verifier
from support.evidence import (
    SECOND,
    Forge,
    Members,
    Piece,
    Witness,
    histories,
    judge,
    remanifested,
    trust_of,
    unzip,
    zipped,
)
from support.life import Life
from support.vaults import ALICE, BOB, MALLORY
from vault.commands import GetSecret
from vault.history_commands import PackageEvidence, RotateKeys
from vault.points import AtTime
from vault.refusals import VaultError

INTEGRITY, COMPLETENESS, TIME = verifier.VERDICTS
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PROGRAM = Path(verifier.__file__).read_bytes()


class Case(NamedTuple):
    """One vault's evidence, its forger, and an auditor who is to be fooled."""

    life: Life
    bundle: bytes
    members: Members
    forge: Forge
    trust: verifier.Trust
    witness: Witness


def packaged(life: Life, start: int, stop: int) -> bytes:
    out = io.BytesIO()
    asked = PackageEvidence(since=AtTime(start), until=AtTime(stop))
    life.vault.handle(ALICE, asked).write(out, PROGRAM)
    return out.getvalue()


def live(home: Path, seed: int) -> tuple[Life, list[int]]:
    """A vault with a past: three periods, and a witness that saw the end of each."""
    life, draw, ends = Life(home), random.Random(seed), []
    witness = Witness()
    life.allow("get")
    for period in range(3):
        for step in range(4):
            life.clock.advance(seconds=60)
            life.set(f"secret-{draw.randrange(5)}", f"value {seed} {period} {step}")
            name = f"secret-{draw.randrange(5)}"
            for who in (ALICE, BOB, MALLORY):
                life.clock.advance(seconds=10)
                _try_to_read(life, name, who)
        if period == 1:
            life.set("gone")
            life.purge("gone")
        life.clock.advance(seconds=60)
        ends.append(life.clock.now)
        for log in (life.vault.changes, life.vault.access):
            note = log.checkpoint()
            anchors.keep(log.path, witness.cosigned(note, life.clock.now + 30 * SECOND))
        life.clock.advance(seconds=120)
    return life, ends


def _try_to_read(life: Life, name: str, who: Any) -> None:
    try:
        life(GetSecret(name=name), who)
    except VaultError:
        return


def case_of(home: Path, seed: int) -> Case:
    life, ends = live(home, seed)
    witness = Witness()
    bundle = packaged(life, ends[0], ends[1])
    whole = packaged(life, 0, life.clock.now)
    logs = histories(life.vault, whole, life.store.keyring)
    notes = {
        log: [one.note for one in anchors.kept(opened.path)]
        for log, opened in zip(verifier.LOGS, (life.vault.changes, life.vault.access), strict=True)
    }
    forge = Forge(logs, ends[0], ends[1], notes)
    keys = [logs[log].signer.verifier for log in verifier.LOGS]
    trust = trust_of(*keys, policy=witness.policy, start=ends[0], stop=ends[1])
    return Case(life, bundle, unzip(bundle), forge, trust, witness)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    made = case_of(tmp_path_factory.mktemp("case") / "store", 1)
    yield made
    made.life.store.close()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    made = case_of(tmp_path_factory.mktemp("other") / "store", 2)
    yield made
    made.life.store.close()


def refused(case: Case, bundle: bytes, *verdicts: str, trust: verifier.Trust | None = None) -> None:
    """The bundle is refused, and by one of *verdicts*."""
    judged = judge(bundle, trust or case.trust)
    wrong = [verdict for verdict, (holds, _) in judged.said.items() if holds is False]
    assert judged.status == 20, judged.said
    assert set(wrong) & set(verdicts), judged.said


# --- what is genuine ------------------------------------------------------------------------------


def test_the_genuine_bundle_is_believed(case: Case) -> None:
    judged = judge(case.bundle, case.trust)
    assert judged.status == 0, judged.said
    assert judged.facts.kinds["refused"] >= 4


def test_what_the_forger_makes_is_believed_while_he_does_not_lie(case: Case) -> None:
    judged = judge(case.forge.build(), case.trust)
    assert judged.status == 0, judged.said


def test_without_a_word_from_outside_it_is_weaker_and_not_refused(case: Case) -> None:
    judged = judge(case.bundle, case.trust._replace(policy=None))
    assert judged.status == 21
    assert judged.said[TIME][0] is None


def test_another_vault_is_refused_whole(case: Case, other: Case) -> None:
    refused(case, other.bundle, INTEGRITY)


# --- forgers without a key ------------------------------------------------------------------------


Make = Callable[[Case, random.Random], bytes]


def changed_byte(case: Case, draw: random.Random) -> bytes:
    at = draw.randrange(len(case.bundle))
    return _with_byte(case.bundle, at, draw)


def changed_byte_of_the_evidence(case: Case, draw: random.Random) -> bytes:
    """The program is the largest member: this looks everywhere else."""
    start = case.bundle.index(b"verify.py")
    end = case.bundle.index(b"manifest.json", start + len(PROGRAM)) - 30
    at = draw.randrange(len(case.bundle) - (end - start))
    return _with_byte(case.bundle, at if at < start else at + end - start, draw)


def _with_byte(whole: bytes, at: int, draw: random.Random) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :]


def cut_or_grown(case: Case, draw: random.Random) -> bytes:
    at, size = draw.randrange(len(case.bundle)), draw.randrange(1, 200)
    match draw.randrange(4):
        case 0:
            return case.bundle[:at]
        case 1:
            return case.bundle[:at] + case.bundle[at + size :]
        case 2:
            return case.bundle[:at] + draw.randbytes(size) + case.bundle[at:]
        case _:
            return draw.randbytes(size) + case.bundle


def changed_member(case: Case, draw: random.Random) -> bytes:
    """One member is another, and the manifest was made to fit."""
    members = dict(case.members)
    name = draw.choice([one for one in members if members[one] and one != "manifest.json"])
    members[name] = _with_byte(members[name], draw.randrange(len(members[name])), draw)
    return zipped(members if name.startswith("closing/") else remanifested(members))


def members_moved(case: Case, draw: random.Random) -> bytes:
    members = dict(case.members)
    one, two = draw.sample([name for name in members if name != "manifest.json"], 2)
    match draw.randrange(3):
        case 0:
            del members[one]
        case 1:
            if members[one] == members[two]:
                del members[one]
            else:
                members[one], members[two] = members[two], members[one]
        case _:
            members[f"extra/{draw.randrange(10**6)}"] = members[one]
    return zipped(remanifested(members) if draw.random() < 0.5 else members)


def changed_manifest(case: Case, draw: random.Random) -> bytes:
    said = json.loads(case.members["manifest.json"])
    log, key = draw.choice(verifier.LOGS), draw.choice(("first", "stop", "start"))
    where = said if key == "start" else said["logs"][log]
    where[key] += draw.choice((-3, -2, -1, 1, 2, 3)) * (SECOND if key == "start" else 1)
    return zipped({**case.members, "manifest.json": json.dumps(said).encode()})


def report_swapped(case: Case, draw: random.Random) -> bytes:
    page = case.members["report.html"].replace(b"refused", b"allowed", draw.randrange(1, 5))
    members = {**case.members, "report.html": page + draw.randbytes(4).hex().encode()}
    return zipped(remanifested(members) if draw.random() < 0.5 else members)


def json_tricks(case: Case, draw: random.Random) -> bytes:
    text = case.members["manifest.json"].decode()
    number = f'"start": {json.loads(text)["start"]}'
    assert number in text
    other = draw.choice(
        [
            f'{number}, "start": {draw.randrange(10**15)}',
            '"start": NaN',
            '"start": 1e400',
            f'"start": {"9" * draw.randrange(20, 6000)}',
            '"start": Infinity',
            f'"start": -{draw.randrange(10**9)}',
            f'"start": 0{draw.randrange(10**9)}',
            f'"start": {"[" * draw.randrange(1, 5000)}',
            '"start": true',
            '"start": "0"',
        ]
    )
    changed = text.replace(number, other, 1).encode()
    return zipped({**case.members, "manifest.json": changed})


def zip_tricks(case: Case, draw: random.Random) -> bytes:
    """Names that leave the folder, that stand twice, that no system agrees on; wrong sizes."""
    bad = ["../../etc/passwd", "/report.html", "report.html/", "a//b", "C:\\x", "./report.html"]
    members = dict(case.members)
    match draw.randrange(4):
        case 0:
            return zipped({**members, draw.choice(bad): draw.randbytes(4)})
        case 1:
            whole = zipped({**members, "report.htmk": draw.randbytes(9)})
            return whole.replace(b"report.htmk", b"report.html")
        case 2:
            return _resized(case.bundle, draw)
        case _:
            return case.bundle + case.bundle[: draw.randrange(1, 500)]


def _resized(whole: bytes, draw: random.Random) -> bytes:
    """A member says another size, in its header, in the directory, or in both."""
    at = whole.index(b"PK\x03\x04", draw.randrange(len(whole) // 2))
    size = draw.choice((0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 12)).to_bytes(4, "little")
    whole = whole[: at + 22] + size + whole[at + 26 :]
    return whole[: at + 18] + size + whole[at + 22 :] if draw.random() < 0.5 else whole


KEYLESS: dict[Make, int] = {
    changed_byte: 700,
    changed_byte_of_the_evidence: 1_300,
    cut_or_grown: 300,
    changed_member: 500,
    members_moved: 300,
    changed_manifest: 150,
    report_swapped: 60,
    json_tricks: 150,
    zip_tricks: 150,
}


@pytest.mark.parametrize("family", KEYLESS, ids=lambda one: one.__name__)
def test_who_has_no_key_forges_nothing(case: Case, family: Make) -> None:
    draw = random.Random(family.__name__)
    for _ in range(KEYLESS[family]):
        forged = family(case, draw)
        assert forged != case.bundle
        refused(case, forged, INTEGRITY)


def test_parts_of_two_vaults_do_not_make_one(case: Case, other: Case) -> None:
    """Every member of one in the other, alone and with all of its folder: 2 x 40 of them."""
    for name, data in other.members.items():
        if case.members.get(name) == data:
            continue
        members = {**case.members, name: data}
        refused(case, zipped(members), INTEGRITY)
        refused(case, zipped(remanifested(members)), INTEGRITY)
    for folder in ("changes/", "access/", "closing/", "closing/changes", "closing/access"):
        mixed = {name: data for name, data in case.members.items() if not name.startswith(folder)}
        mixed |= {name: data for name, data in other.members.items() if name.startswith(folder)}
        refused(case, zipped(mixed), INTEGRITY)
        refused(case, zipped(remanifested(mixed)), INTEGRITY)


# --- forgers with the vault's own keys ------------------------------------------------------------


def _log(draw: random.Random) -> str:
    return draw.choice(verifier.LOGS)


def _shown(case: Case, log: str, change: Callable[[list[Piece]], list[Piece]]) -> bytes:
    def shown(which: str, found: list[Piece]) -> list[Piece]:
        return change(list(found)) if which == log else found

    return case.forge.but(shown=shown).build()


def record_dropped(case: Case, draw: random.Random) -> bytes:
    return _shown(case, _log(draw), lambda found: _without(found, draw.randrange(len(found))))


def _without(found: list[Piece], at: int) -> list[Piece]:
    return found[:at] + found[at + 1 :]


def record_dropped_and_said_to_be_fewer(case: Case, draw: random.Random) -> bytes:
    """The period is said to end one record earlier, at the same time."""
    log = _log(draw)

    def spans(found: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        return {**found, log: (found[log][0], found[log][1] - 1)}

    at = draw.randrange(case.forge.span(log)[1] - case.forge.span(log)[0] - 1)

    def shown(which: str, found: list[Piece]) -> list[Piece]:
        whole = case.forge.logs[log].records[slice(*case.forge.span(log))]
        return _without(whole, at) if which == log else found

    return case.forge.but(spans=spans, shown=shown).build()


def records_reordered(case: Case, draw: random.Random) -> bytes:
    def change(found: list[Piece]) -> list[Piece]:
        one, two = draw.sample(range(len(found)), 2)
        found[one], found[two] = found[two], found[one]
        return found

    return _shown(case, _log(draw), change)


def openings_swapped(case: Case, draw: random.Random) -> bytes:
    """The leaves stay; what two of them are said to be is exchanged."""

    def change(found: list[Piece]) -> list[Piece]:
        one, two = draw.sample(range(len(found)), 2)
        a, b = found[one], found[two]
        found[one] = Piece(a.leaf, a.signature, b.seed, b.meta)
        found[two] = Piece(b.leaf, b.signature, a.seed, a.meta)
        return found

    return _shown(case, _log(draw), change)


def field_changed(case: Case, draw: random.Random) -> bytes:
    """A record is said to say something else, of the same length even."""

    def change(found: list[Piece]) -> list[Piece]:
        at = draw.randrange(len(found))
        one = found[at]
        meta = bytearray(one.meta)
        meta[draw.randrange(1, len(meta))] ^= 1 << draw.randrange(8)
        found[at] = Piece(one.leaf, one.signature, one.seed, bytes(meta))
        return found

    return _shown(case, _log(draw), change)


def grant_forged(case: Case, draw: random.Random) -> bytes:
    """A record is replaced by one that says that an auditor was allowed to see all."""
    log = case.forge.logs["changes"]

    def change(found: list[Piece]) -> list[Piece]:
        at = draw.randrange(len(found))
        said = {"type": "audit.granted", "grant": draw.randbytes(16).hex(), "label": "mine"}
        context = {"principal": "alice@example.com", "auth": "test"}
        leaf = found[at].leaf
        position = int.from_bytes(leaf[2:10], "big")
        found[at] = log.made(position, found[at].time, [context, said, None], draw.randbytes(32))
        return found

    return _shown(case, "changes", change)


def rule_forged(case: Case, draw: random.Random) -> bytes:
    """A rule from before the period is said to be another one."""

    def members(found: Members) -> Members:
        text = bytearray(found["changes/rules"])
        text[draw.randrange(len(text))] ^= 1 << draw.randrange(8)
        return {**found, "changes/rules": bytes(text)}

    return case.forge.but(members=members).build()


def event_forged(case: Case, draw: random.Random) -> bytes:
    """The event about the bundle names another period or another manifest."""
    key = draw.choice(("start", "stop", "changes", "access", "digest", "type"))

    def event(said: dict[str, Any]) -> dict[str, Any]:
        was = said[key]
        if isinstance(was, list):
            other: Any = [was[0], was[1] + draw.randrange(1, 9)]
        else:
            other = draw.randbytes(32).hex() if isinstance(was, str) else was + draw.randrange(1, 9)
        return {**said, key: other}

    return case.forge.but(event=event).build()


def history_rewritten(case: Case, draw: random.Random) -> bytes:
    """With the stolen key all of a log is made anew, without one record; the anchors stay."""
    log = _log(draw)
    told = case.forge.logs[log].told()
    del told[draw.randrange(*case.forge.span(log))]
    logs = {**case.forge.logs, log: case.forge.logs[log].rewritten(told)}
    return case.forge.but(logs=logs).build()


def period_cut(case: Case, draw: random.Random) -> bytes:
    """Honest in all but that it is shorter than what was asked for."""
    width = case.forge.stop - case.forge.start
    start = case.forge.start + draw.randrange(width // 2) * draw.randrange(2)
    stop = case.forge.stop - draw.randrange(1, width // 2)
    return case.forge.but(start=start, stop=stop).build()


def edges_cut(case: Case, draw: random.Random) -> bytes:
    """The first or the last records of the period are said to lie outside of it."""
    log, many = _log(draw), draw.randrange(1, 4)
    at_the_end = draw.random() < 0.5

    def spans(found: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        first, stop = found[log]
        return {**found, log: (first, stop - many) if at_the_end else (first + many, stop)}

    return case.forge.but(spans=spans, anchors={}).build()


def end_left_out(case: Case, draw: random.Random) -> bytes:
    """The last records of the period are left out, and so is the one behind them that shows it."""
    many = draw.randrange(1, 4)

    def spans(found: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        first, stop = found["access"]
        return {**found, "access": (first, stop - many)}

    return case.forge.but(spans=spans, anchors={}, after=lambda _: b"").build()


def tail_hidden(case: Case, draw: random.Random) -> bytes:
    """`changes` is said to end inside the period; the records of `access` know better."""
    log = case.forge.logs["changes"]
    first, stop = case.forge.span("changes")
    size = draw.randrange(first + 1, stop)
    real = len(log.records)
    logs = {**case.forge.logs, "changes": type(log)(log.signer, True, log.records[:size])}

    def event(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, "at": real}

    return case.forge.but(logs=logs, anchors={}, event=event).build()


def tail_hidden_quietly(case: Case, draw: random.Random) -> bytes:
    """The same, and the event about the bundle says so too; what was read meanwhile does not."""
    log = case.forge.logs["changes"]
    first, _ = case.forge.span("changes")
    read = case.forge.logs["access"].records[slice(*case.forge.span("access"))]
    size = draw.randrange(first, max(one.fields[1].get("at", 0) for one in read))
    logs = {**case.forge.logs, "changes": type(log)(log.signer, True, log.records[:size])}
    return case.forge.but(logs=logs, anchors={}).build()


def made_too_early(case: Case, draw: random.Random) -> bytes:
    """The bundle is of a time before the period was over."""
    logs = case.forge.logs
    first, stop = case.forge.span("access")
    size = draw.randrange(first + 2, stop)
    shorter = {**logs, "access": type(logs["access"])(logs["access"].signer, False, [])}
    shorter["access"].records.extend(logs["access"].records[:size])
    at = shorter["access"].records[-1].time + 1
    return case.forge.but(logs=shorter, anchors={}, made_at=at).build()


def cosignature_replayed(case: Case, draw: random.Random) -> bytes:
    """An old word of the witness under a tree that it never saw."""
    log = _log(draw)
    told = case.forge.logs[log].told()
    del told[draw.randrange(*case.forge.span(log))]
    history = case.forge.logs[log].rewritten(told)
    old = draw.choice(case.forge.anchors[log])
    line = old.split("\n\n")[1].split("\n")[1] + "\n"
    size = draw.randrange(case.forge.span(log)[1] - 1, len(history.records))
    notes = {**case.forge.anchors, log: [history.note(size) + line]}
    return case.forge.but(logs={**case.forge.logs, log: history}, anchors=notes).build()


def dated_ahead(case: Case, draw: random.Random) -> bytes:
    """Records say that they are younger than the witness saw them."""
    log = _log(draw)
    history = case.forge.logs[log]
    first, stop = case.forge.span(log)
    later = draw.randrange(verifier.SKEW + 200 * SECOND, 10**13)
    told = [
        (at + (later if place >= first else 0), said)
        for place, (at, said) in enumerate(history.told())
    ]
    moved = history.rewritten(told)
    seen = history.records[stop - 1].time + 30 * SECOND
    size = draw.randrange(stop, len(moved.records) + 1)
    notes: dict[str, list[str]] = {name: [] for name in verifier.LOGS} | {
        log: [case.witness.cosigned(moved.note(size), seen)]
    }
    logs = {**case.forge.logs, log: moved}
    return case.forge.but(logs=logs, anchors=notes, stop=case.forge.stop + later).build()


def cosignature_changed(case: Case, draw: random.Random) -> bytes:
    """The time in a cosignature is another one, or its bytes are."""
    log = _log(draw)
    notes = list(case.forge.anchors[log])
    at = draw.randrange(len(notes))
    text, lines = notes[at].split("\n\n")
    own, word = lines.splitlines()
    dash, name, stamp = word.split(" ")
    raw = bytearray(base64.b64decode(stamp))
    raw[draw.randrange(4, len(raw))] ^= 1 << draw.randrange(8)
    word = f"{dash} {name} {base64.b64encode(bytes(raw)).decode()}"
    notes[at] = f"{text}\n\n{own}\n{word}\n"
    return case.forge.but(anchors={**case.forge.anchors, log: notes}).build()


KEYED: dict[Make, tuple[int, tuple[str, ...]]] = {
    record_dropped: (120, (INTEGRITY,)),
    record_dropped_and_said_to_be_fewer: (120, (INTEGRITY,)),
    records_reordered: (150, (INTEGRITY,)),
    openings_swapped: (150, (INTEGRITY,)),
    field_changed: (250, (INTEGRITY,)),
    grant_forged: (80, (INTEGRITY,)),
    rule_forged: (120, (INTEGRITY,)),
    event_forged: (100, (INTEGRITY,)),
    history_rewritten: (60, (INTEGRITY,)),
    period_cut: (80, (COMPLETENESS,)),
    edges_cut: (80, (COMPLETENESS,)),
    end_left_out: (40, (INTEGRITY,)),
    tail_hidden: (40, (COMPLETENESS,)),
    tail_hidden_quietly: (40, (COMPLETENESS,)),
    made_too_early: (40, (COMPLETENESS, INTEGRITY)),
    cosignature_replayed: (60, (TIME,)),
    dated_ahead: (60, (TIME,)),
    cosignature_changed: (100, (TIME,)),
}


@pytest.mark.parametrize("family", KEYED, ids=lambda one: one.__name__)
def test_who_has_the_keys_is_held_to_what_others_know(case: Case, family: Make) -> None:
    draw = random.Random(family.__name__)
    count, verdicts = KEYED[family]
    for _ in range(count):
        refused(case, family(case, draw), *verdicts)


def test_a_history_made_anew_without_the_anchors_is_not_as_old_as_it_says(case: Case) -> None:
    """What a thief of the key can do: then nobody outside has seen it, and that is said."""
    draw = random.Random(5)
    for _ in range(30):
        log = _log(draw)
        told = case.forge.logs[log].told()
        del told[draw.randrange(*case.forge.span(log))]
        logs = {**case.forge.logs, log: case.forge.logs[log].rewritten(told)}
        judged = judge(case.forge.but(logs=logs, anchors={}).build(), case.trust)
        assert judged.status == 21, judged.said
        assert judged.said[TIME][0] is None


def _begun_anew(case: Case, log: str, size: int) -> Forge:
    """The history of *log* after its first *size* records, without what the period had then."""
    history, stop = case.forge.logs[log], case.forge.span(log)[1]
    anew = type(history)(history.signer, history.signed, history.records[:size])
    for at, (time, said) in enumerate(history.told()[stop:], size):
        anew.records.append(anew.made(at, time, said, bytes([at % 256, 9]) * 16))
    notes = [one for one in case.forge.anchors[log] if parse_checkpoint(one).size <= size]
    logs = {**case.forge.logs, log: anew}
    return case.forge.but(logs=logs, anchors={**case.forge.anchors, log: notes})


@pytest.mark.parametrize("log", verifier.LOGS)
def test_a_log_begun_anew_behind_its_last_anchor_is_not_shown_to_be_whole(
    case: Case, log: str
) -> None:
    """Nothing that is left contradicts the witness, who had seen what is missing."""
    first = case.forge.span(log)[0]
    emptied = judge(_begun_anew(case, log, first).build(), case.trust)
    assert (emptied.status, emptied.said[COMPLETENESS][0]) == (21, True)
    assert f"no witness whom you believe looked at {log} after" in emptied.weaker[0]
    without = _begun_anew(case, log, first)
    without = without.but(anchors={**without.anchors, log: []})
    judged = judge(without.build(), case.trust)
    assert judged.said[TIME] == (None, f"nobody whom you believe saw {log} up to #{first - 1}")
    longer = _begun_anew(case, log, first).but(start=1)
    judged = judge(longer.build(), case.trust._replace(start=None))
    assert (judged.status, judged.said[TIME][0], len(judged.weaker)) == (21, True, 1)


@pytest.mark.parametrize("name", ["cryptography.py", "hashlib.py", "report-2.html", "access/x"])
def test_no_member_that_the_format_does_not_know(case: Case, name: str) -> None:
    """Beside `verify.py`, a module would be run by whoever unpacks the bundle."""
    forge = case.forge.but(members=lambda found: {**found, name: b"exit(0)"})
    refused(case, forge.build(), INTEGRITY)


def test_a_history_made_anew_is_refused_by_who_kept_a_checkpoint(case: Case) -> None:
    draw = random.Random(6)
    for _ in range(30):
        log = _log(draw)
        first, stop = case.forge.span(log)
        told = case.forge.logs[log].told()
        del told[draw.randrange(first, stop - 1)]
        kept = verifier.read_note(case.forge.logs[log].note(stop - 1).encode())
        logs = {**case.forge.logs, log: case.forge.logs[log].rewritten(told)}
        trust = case.trust._replace(against=(kept,))
        refused(case, case.forge.but(logs=logs, anchors={}).build(), INTEGRITY, TIME, trust=trust)


def test_there_are_more_than_five_thousand() -> None:
    assert sum(KEYLESS.values()) + sum(count for count, _ in KEYED.values()) > 5_000


def test_keys_that_rotated_lead_from_the_old_one_to_the_new(tmp_path: Path) -> None:
    """The auditor's paper is from before the rotation; a chain that was cut is refused."""
    life, ends = live(tmp_path / "store", 3)
    old = [log.epochs().signing[0].verifier for log in (life.vault.changes, life.vault.access)]
    life(RotateKeys())
    life.clock.advance(seconds=60)
    bundle = packaged(life, ends[0], life.clock.now)
    trust = trust_of(*map(parse_verifier, old))
    assert judge(bundle, trust).said[INTEGRITY][0]
    case = Case(life, bundle, unzip(bundle), Forge({}, 0, 0), trust, Witness())
    for log in verifier.LOGS:
        keys = json.loads(case.members[f"{log}/keys"])
        for forged in (keys[1:], keys[:1], [keys[0], {**keys[1], "endorsement": ""}], keys * 2):
            members = {**case.members, f"{log}/keys": json.dumps(forged).encode()}
            refused(case, zipped(remanifested(members)), INTEGRITY)
    life.store.close()


def test_the_sizes_that_anchors_have_are_inside_and_around_the_period(case: Case) -> None:
    """Else the families above would test less than they say."""
    for log in verifier.LOGS:
        first, stop = case.forge.span(log)
        sizes = [parse_checkpoint(note).size for note in case.forge.anchors[log]]
        assert min(sizes) <= first < stop <= max(sizes)
