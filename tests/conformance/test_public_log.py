"""Programs that are not ours accept what leaves a log, and refuse it when one byte is changed.

Three of them, in three languages: Go's checksum database (Debian's golang-golang-x-mod-dev),
metamorphic-log (Rust, in a wheel), and openssl for the signature alone.
"""

import base64
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dilithium_py.ml_dsa import ML_DSA_44

from eventstore.checkpoint import Verifier, parse_checkpoint, signatures
from eventstore.cosignature import Cosigner, cosign, witness_key
from eventstore.errors import MunimentError
from eventstore.export import export_tiles, public_log
from eventstore.proof import Consistency, Inclusion, parse
from eventstore.second_key import SecondSigner
from support.public import each_byte_changed, grow_log
from support.terminal import Terminal
from support.unrelated import built_go, metamorphic_log, openssl_accepts

OLD, NEW = 3_001, 70_000
POSITIONS = (0, 255, 256, 3_000, 65_535, 65_536, 69_999)


@dataclass(frozen=True)
class Published:
    """All that others get of one log, in files."""

    directory: Path
    verifier: Verifier
    old: str
    new: str
    proofs: dict[int, Inclusion]
    growth: Consistency

    @property
    def tiles(self) -> Path:
        return self.directory / "tiles"

    @property
    def key(self) -> Path:
        return self.directory / "key"

    def file(self, name: str, text: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A log of three levels of tiles, published early and again later."""
    directory = tmp_path_factory.mktemp("published")
    log = directory / "log"
    grow_log(log, OLD)
    with public_log(log) as opened:
        old = opened.checkpoint.note
        export_tiles(opened, directory / "tiles")
    grow_log(log, NEW)
    with public_log(log) as opened:
        export_tiles(opened, directory / "tiles")
        made = Published(
            directory,
            opened.verifiers[0],
            old,
            opened.checkpoint.note,
            {position: opened.prove(position) for position in POSITIONS},
            opened.prove_growth(parse_checkpoint(old)),
        )
    made.file("key", f"{made.verifier}\n")
    made.file("old", old)
    return made


# --- Go -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.getbasetemp().parent / "go-cache"
    return built_go(tmp_path_factory.mktemp("go"), cache)


def go(program: Path, published: Published, *arguments: str | Path) -> list[str]:
    """The program's verdicts."""
    done = subprocess.run(
        [program, published.key, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def refused(verdicts: Iterable[str]) -> bool:
    return all(verdict.startswith("refused: ") for verdict in verdicts)


def changed_files(published: Published, text: str) -> list[Path]:
    places = published.directory / "changed"
    shutil.rmtree(places, ignore_errors=True)
    places.mkdir()
    return [
        published.file(f"changed/{at}", changed)
        for at, changed in enumerate(each_byte_changed(text.encode()))
    ]


def test_go_opens_the_checkpoints_and_no_changed_one(
    go_program: Path, published: Published
) -> None:
    new = published.file("new", published.new)
    assert go(go_program, published, "checkpoint", published.directory / "old", new) == ["ok"] * 2
    changed = changed_files(published, published.new)
    verdicts = go(go_program, published, "checkpoint", *changed)
    assert len(verdicts) == len(changed) > 200
    assert refused(verdicts)


def test_go_accepts_every_proof_of_a_record_and_no_changed_one(
    go_program: Path, published: Published
) -> None:
    files = [published.file(f"{at}.tlog-proof", str(one)) for at, one in published.proofs.items()]
    assert go(go_program, published, "inclusion", *files) == ["ok"] * len(POSITIONS)
    changed = changed_files(published, str(published.proofs[65_536]))
    verdicts = go(go_program, published, "inclusion", *changed)
    assert len(verdicts) == len(changed) > 800
    assert refused(verdicts)


def test_go_accepts_that_the_log_grew_and_no_changed_proof_of_it(
    go_program: Path, published: Published
) -> None:
    old = published.directory / "old"
    growth = published.file("growth", str(published.growth))
    assert go(go_program, published, "consistency", old, growth) == ["ok"]
    changed = changed_files(published, str(published.growth))
    assert refused(go(go_program, published, "consistency", old, *changed))


def test_go_reads_the_tiles_and_finds_any_changed_byte(
    go_program: Path, published: Published
) -> None:
    assert go(go_program, published, "tiles", published.tiles) == ["ok"]
    for path in (
        "checkpoint",
        "tile/0/000",
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
        "tile/entries/000",
        "tile/entries/273.p/112",
    ):
        file = published.tiles / path
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        assert refused(go(go_program, published, "tiles", published.tiles)), path
        file.write_bytes(whole)
    assert go(go_program, published, "tiles", published.tiles) == ["ok"]


WITNESS = bytes(range(32))


def vouched(published: Published) -> tuple[Cosigner, Cosigner, str]:
    """A witness's key, the log's second key, and the newest checkpoint as they all signed it."""
    checkpoint = parse_checkpoint(published.new)
    second = SecondSigner(checkpoint.origin, bytes([1]) * 32)
    line = cosign("witness.example/w1", WITNESS, checkpoint, 1_790_000_000)
    note = published.new + second.line(checkpoint) + line
    return witness_key("witness.example/w1", WITNESS), second.cosigner, note


def test_go_accepts_a_witnesss_cosignature_and_no_changed_one(
    go_program: Path, published: Published
) -> None:
    key, _, note = vouched(published)
    witness = published.file("witness", f"{key}\n")
    both = published.file("vouched", note)
    assert go(go_program, published, "cosigned", witness, both) == ["ok"]
    # Without the line of the second key, which no program of these three knows.
    lines = note.splitlines(keepends=True)
    short = "".join(line for line in lines if len(line) < 1_000)
    assert go(go_program, published, "cosigned", witness, published.file("short", short)) == ["ok"]
    changed = changed_files(published, short)
    verdicts = go(go_program, published, "cosigned", witness, *changed)
    assert len(verdicts) == len(changed) > 300
    assert refused(verdicts)
    alone = published.file("alone", published.new)
    assert refused(go(go_program, published, "cosigned", witness, alone))


def test_an_ml_dsa_that_is_not_openssls_accepts_the_second_signature_and_nothing_changed(
    published: Published,
) -> None:
    _, second, note = vouched(published)
    checkpoint = parse_checkpoint(note)
    (stamp,) = [stamp for _, key_id, stamp in signatures(note)[1] if key_id == second.key_id]
    origin = bytes([len(checkpoint.origin)]) + checkpoint.origin.encode()
    size = checkpoint.size.to_bytes(8, "big")
    said = b"subtree/v1\n\0" + origin + bytes(8) + origin + bytes(8) + size + checkpoint.root
    assert ML_DSA_44.verify(second.public, said, stamp[8:])
    for changed in list(each_byte_changed(said))[::16]:
        assert not ML_DSA_44.verify(second.public, changed, stamp[8:])
    for changed in list(each_byte_changed(stamp[8:]))[::300]:
        assert not ML_DSA_44.verify(second.public, said, changed)


def test_go_accepts_what_the_terminal_prints(go_program: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    values = "{" + ", ".join(f'"s{at}": "v"' for at in range(300)) + "}"
    terminal.must("checkpoint", "publish", "old")
    terminal.must("secret", "import", "-", "--format", "json", stdin=values)
    terminal.must("secret", "show", "s7")
    verifiers = terminal.json("vault", "show")["verifiers"]

    for log, position in (("changes", "300"), ("access", "0")):
        (tmp_path / "key").write_text(verifiers[log])
        (tmp_path / "proof").write_bytes(terminal.must("prove", position, "--log", log).out)
        terminal.must("export", "tiles", "--out", f"tiles-{log}", "--log", log)
        for kind, file in (("inclusion", "proof"), ("tiles", f"tiles-{log}")):
            done = subprocess.run(
                [go_program, "key", kind, file], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.stdout == "ok\n", (log, kind, done)
    terminal.check()


# --- Rust -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metamorphic() -> Any:
    return metamorphic_log()


def rust_accepts(metamorphic: Any, published: Published, proof: Inclusion, note: str) -> bool:
    hashed = sha256(b"\0" + proof.leaf).digest()
    try:
        metamorphic.checkpoint_verify_inclusion(
            note, [str(published.verifier)], proof.position, hashed, list(proof.path)
        )
    except metamorphic.VerifyError:
        return False
    return True


def test_rust_accepts_every_proof_of_a_record(metamorphic: Any, published: Published) -> None:
    for proof in published.proofs.values():
        assert rust_accepts(metamorphic, published, proof, published.new)


def test_rust_refuses_every_changed_byte_of_a_proof(metamorphic: Any, published: Published) -> None:
    proof = published.proofs[65_536]
    for leaf in each_byte_changed(proof.leaf):
        assert not rust_accepts(metamorphic, published, proof._replace(leaf=leaf), published.new)
    for at, step in enumerate(proof.path):
        for changed in each_byte_changed(step):
            path = [*proof.path[:at], changed, *proof.path[at + 1 :]]
            forged = proof._replace(path=path)
            assert not rust_accepts(metamorphic, published, forged, published.new)
    other = proof._replace(position=proof.position ^ 1)
    assert not rust_accepts(metamorphic, published, other, published.new)


def test_rust_opens_the_checkpoint_and_no_changed_one(
    metamorphic: Any, published: Published
) -> None:
    head = metamorphic.checkpoint_verify(published.new, [str(published.verifier)])
    assert (head.origin, head.size) == (published.verifier.name, NEW)
    for changed in each_byte_changed(published.new.encode()):
        with pytest.raises((metamorphic.VerifyError, UnicodeDecodeError)):
            metamorphic.checkpoint_verify(changed.decode(), [str(published.verifier)])


def test_rust_opens_what_the_second_key_and_a_witness_signed_too(
    metamorphic: Any, published: Published
) -> None:
    _, _, note = vouched(published)
    head = metamorphic.checkpoint_verify(note, [str(published.verifier)])
    assert (head.origin, head.size) == (published.verifier.name, NEW)


def test_rust_accepts_that_the_log_grew_and_no_changed_proof_of_it(
    metamorphic: Any, published: Published
) -> None:
    keys, path = [str(published.verifier)], list(published.growth.path)
    metamorphic.checkpoint_verify_consistency(published.old, published.new, keys, path)
    for at, step in enumerate(path):
        for changed in each_byte_changed(step):
            forged = [*path[:at], changed, *path[at + 1 :]]
            with pytest.raises(metamorphic.VerifyError):
                metamorphic.checkpoint_verify_consistency(
                    published.old, published.new, keys, forged
                )


# --- openssl --------------------------------------------------------------------------------------


def test_openssl_accepts_the_signature_and_nothing_changed(published: Published) -> None:
    text, [(_, _, signature)] = signatures(published.new)

    def accepts(said: bytes, signed: bytes) -> bool:
        return openssl_accepts(published.directory, published.verifier.public, said, signed)

    assert accepts(text.encode(), signature)
    for changed in list(each_byte_changed(text.encode()))[::9]:
        assert not accepts(changed, signature)
    for changed in list(each_byte_changed(signature))[::9]:
        assert not accepts(text.encode(), changed)


def test_openssl_accepts_a_cosignature_over_its_time_and_nothing_changed(
    published: Published,
) -> None:
    key, _, note = vouched(published)
    text, found = signatures(note)
    (stamp,) = [stamp for _, key_id, stamp in found if key_id == key.key_id]
    said = f"cosignature/v1\ntime 1790000000\n{text}".encode()
    folder = published.directory
    assert openssl_accepts(folder, key.public, said, stamp[8:])
    for changed in list(each_byte_changed(said))[::9]:
        assert not openssl_accepts(folder, key.public, changed, stamp[8:])


# --- and ours -------------------------------------------------------------------------------------


def ours(published: Published, text: bytes) -> bool:
    try:
        proof = parse(text.decode())
        if isinstance(proof, Inclusion):
            proof.check([published.verifier])
        else:
            proof.check(parse_checkpoint(published.old), [published.verifier])
    except (MunimentError, UnicodeDecodeError):
        return False
    return True


def test_muniment_accepts_its_proofs_and_refuses_every_changed_byte(published: Published) -> None:
    for proof in (published.growth, *published.proofs.values()):
        assert ours(published, str(proof).encode())
    for proof in (published.growth, published.proofs[256]):
        whole = str(proof).encode()
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            assert not ours(published, changed), changed


def test_a_proof_reads_back_as_it_was(published: Published) -> None:
    for proof in (published.growth, *published.proofs.values()):
        assert str(parse(str(proof))) == str(proof)
    extra = str(published.proofs[0]).splitlines()[1].removeprefix("extra ")
    assert base64.b64decode(extra) == published.proofs[0].leaf
