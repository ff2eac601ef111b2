"""Programs that are not ours accept what an auditor gets, and refuse it when one byte is changed.

Go's checksum database, metamorphic-log (Rust), openssl (C) and @sigstore/verify (JavaScript): each
reads the parts of a bundle of evidence, and of one shown fact, that belong to standards.
"""

from __future__ import annotations

import base64
import io
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli import bundle_verifier as verifier
from eventstore import anchors, merkle
from eventstore.checkpoint import Verifier, parse_checkpoint, parse_verifier, signatures
from eventstore.export import public_log
from eventstore.proof import Inclusion, parse
from support.evidence import unzip
from support.life import Life
from support.public import each_byte_changed
from support.unrelated import built_go, metamorphic_log, openssl_accepts, sigstore_verdicts
from support.vaults import ALICE
from vault.history_commands import PackageEvidence, ShowFields
from vault.points import AtTime


class Given(NamedTuple):
    """What the auditor has: the bundle's members, a shown fact, and the key of `access`."""

    folder: Path
    members: dict[str, bytes]
    fact: str
    key: Verifier

    @property
    def event(self) -> str:
        """The tlog-proof in the event about the bundle."""
        return self.members["closing/event"].decode().partition("\n\n")[2]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("evidence")
    life = Life(folder / "store")
    middle = 0
    for number in range(300):
        life.set(f"name-{number % 7}", "a value")
        life.read(f"name-{number % 7}")
        if number == 40:
            life.clock.advance(seconds=1)
            middle = life.clock.now
            anchors.keep(life.vault.access.path, life.vault.access.checkpoint())
    asked = PackageEvidence(since=AtTime(middle), until=AtTime(life.clock.now))
    out = io.BytesIO()
    life.vault.handle(ALICE, asked).write(out, b"")
    shown = life(ShowFields(log="access", position=77, fields=("principal", "name", "version")))
    key = life.vault.access.epochs().signing[0].verifier
    life.store.close()
    with public_log(life.vault.access.path) as log:
        fact = f"{shown}\n{log.prove(77)}"
    (folder / "key").write_text(key)
    return Given(folder, unzip(out.getvalue()), fact, parse_verifier(key))


def tlog_proofs(given: Given) -> list[str]:
    return [given.event, given.fact.partition("\n\n")[2]]


def inclusion(text: str) -> Inclusion:
    read = parse(text)
    assert isinstance(read, Inclusion)
    return read


def changed(text: str) -> list[bytes]:
    return list(each_byte_changed(text.encode()))


def test_go_accepts_both_proofs_and_the_checkpoint_and_nothing_changed(
    given: Given, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp().parent / "go-cache"
    program = built_go(tmp_path_factory.mktemp("go"), cache)
    note = given.members["closing/access.checkpoint"].decode()
    for kind, text in (*(("inclusion", one) for one in tlog_proofs(given)), ("checkpoint", note)):
        files = []
        for at, one in enumerate([text.encode(), *changed(text)]):
            files.append(given.folder / f"{kind}-{at}")
            files[-1].write_bytes(one)
        done = subprocess.run(
            [program, given.folder / "key", kind, *files],
            capture_output=True,
            text=True,
            check=True,
        )
        first, *others = done.stdout.splitlines()
        assert first == "ok", done
        assert len(others) > 200
        assert all(one.startswith("refused: ") for one in others)


def rust_accepts(metamorphic: Any, given: Given, text: bytes) -> bool:
    try:
        proof = inclusion(text.decode())
        hashed = sha256(b"\0" + proof.leaf).digest()
        metamorphic.checkpoint_verify_inclusion(
            proof.note, [str(given.key)], proof.position, hashed, list(proof.path)
        )
    except (metamorphic.VerifyError, ValueError):
        return False
    return True


def test_rust_accepts_both_proofs_and_none_with_another_leaf_or_step(given: Given) -> None:
    metamorphic = metamorphic_log()
    for text in tlog_proofs(given):
        proof = inclusion(text)
        assert rust_accepts(metamorphic, given, text.encode())
        for leaf in each_byte_changed(proof.leaf):
            forged = str(proof._replace(leaf=leaf))
            assert not rust_accepts(metamorphic, given, forged.encode())
        for at, step in enumerate(proof.path):
            for other in list(each_byte_changed(step))[::7]:
                path = [*proof.path[:at], other, *proof.path[at + 1 :]]
                forged = str(proof._replace(path=path))
                assert not rust_accepts(metamorphic, given, forged.encode())


def test_rust_accepts_that_the_anchored_tree_grew_into_the_signed_one(given: Given) -> None:
    metamorphic = metamorphic_log()
    [name] = [one for one in given.members if one.startswith("access/anchors/")]
    old, new = given.members[name].decode(), given.members["closing/access.checkpoint"].decode()
    size = parse_checkpoint(old).size
    growth = given.members["closing/access.growth"].decode().split("old ")[1:]
    steps = {part.split("\n")[0]: part.split("\n")[1:-1] for part in growth}[str(size)]
    path, keys = [base64.b64decode(step) for step in steps], [str(given.key)]
    metamorphic.checkpoint_verify_consistency(old, new, keys, path)
    for at, step in enumerate(path):
        for other in each_byte_changed(step):
            forged = [*path[:at], other, *path[at + 1 :]]
            with pytest.raises(metamorphic.VerifyError):
                metamorphic.checkpoint_verify_consistency(old, new, keys, forged)


def test_openssl_accepts_the_signature_of_the_checkpoint_and_of_nothing_changed(
    given: Given,
) -> None:
    note = given.members["closing/access.checkpoint"].decode()
    text, [(_, _, signature)] = signatures(note)
    public = given.key.public
    assert openssl_accepts(given.folder, public, text.encode(), signature)
    for other in changed(text)[::9]:
        assert not openssl_accepts(given.folder, public, other, signature)
    for stamp in list(each_byte_changed(signature))[::9]:
        assert not openssl_accepts(given.folder, public, text.encode(), stamp)


@pytest.mark.clients
def test_sigstore_accepts_both_proofs_and_none_with_another_byte_of_evidence(given: Given) -> None:
    def asked(text: str) -> dict[str, str]:
        key = base64.b64encode(given.key.public).decode()
        return {"proof": text, "origin": given.key.name, "key": key}

    for text in tlog_proofs(given):
        proof = inclusion(text)
        forged = [proof._replace(leaf=leaf) for leaf in each_byte_changed(proof.leaf)]
        forged += [
            proof._replace(path=[*proof.path[:at], other, *proof.path[at + 1 :]])
            for at, step in enumerate(proof.path)
            for other in each_byte_changed(step)
        ]
        notes = [one.decode() for one in changed(proof.note[: proof.note.index("\n\n") + 1])]
        rest = proof.note[proof.note.index("\n\n") + 1 :]
        forged += [proof._replace(note=note + rest) for note in notes]
        verdicts = sigstore_verdicts([asked(text), *(asked(str(one)) for one in forged)])
        assert verdicts[0]
        assert len(verdicts) > 300
        assert not any(verdicts[1:])


def test_ours_agrees_with_them_about_the_tree(given: Given) -> None:
    """The proof hashes in a bundle are those that the others were given."""
    proof = inclusion(given.event)
    checkpoint = parse_checkpoint(proof.note)
    hashed = merkle.leaf_hash(proof.leaf)
    assert (
        verifier.root_from_path(proof.position, checkpoint.size, hashed, list(proof.path))
        == checkpoint.root
    )
