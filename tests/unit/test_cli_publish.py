"""Checkpoints, proofs and tiles leave the store without a key, and never go back."""

import shutil
import subprocess
from pathlib import Path

import pytest

from eventstore import tiles
from eventstore.storage import open_environment
from eventstore.transaction import Tables
from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="v")
    return terminal


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", directory, "-c", "user.name=n", "-c", "user.email=n@example.com", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    place = tmp_path / "anchors"
    place.mkdir()
    git(place, "init", "--quiet")
    git(place, "config", "user.name", "n")
    git(place, "config", "user.email", "n@example.com")
    return place


def test_a_work_tree_gets_a_commit_for_each_publication(
    terminal: Terminal, work_tree: Path
) -> None:
    (work_tree / "other").write_text("not ours")
    git(work_tree, "add", "other")
    first = terminal.json("checkpoint", "publish", "anchors")
    terminal.must("secret", "set", "a", stdin="w")
    second = terminal.json("checkpoint", "publish", "anchors")
    terminal.must("checkpoint", "publish", "anchors")

    assert [one["log"] for one in first] == ["access", "changes"]
    assert second[1]["before"] == first[1]["size"] == second[1]["size"] - 1
    assert len(git(work_tree, "log", "--format=%H").split()) == 2
    assert git(work_tree, "status", "--porcelain") == "A  other\n"
    for one in second:
        file = Path(terminal.directory, one["file"])
        assert file.read_text() == one["note"]
        assert file.name == one["origin"].replace("/", "_") + ".checkpoint"
        terminal.must("verify", "--against", str(file), "--log", one["log"])
    terminal.check()


def test_a_work_tree_that_takes_no_commit_is_said(terminal: Terminal, work_tree: Path) -> None:
    (work_tree / ".gitignore").write_text("*.checkpoint\n")
    ran = terminal.run("checkpoint", "publish", "anchors", "-o", "json")
    assert (ran.status, ran.error["code"]) == (1, "checkpoint.not-published")
    assert "of changes since #0" in terminal.must("doctor").text
    terminal.check()


def test_what_was_published_never_goes_back(terminal: Terminal) -> None:
    old = shutil.copytree(terminal.home, terminal.directory / "old")
    terminal.must("secret", "set", "a", stdin="w")
    terminal.must("checkpoint", "publish", "out")
    published = (terminal.directory / "out").read_bytes()
    forgetful = {"MUNIMENT_STATE": str(terminal.directory / "nothing-seen")}

    def refusal(home: Path) -> tuple[int, str]:
        ran = terminal.run(
            *("checkpoint", "publish", "out", "-o", "json", "--home", str(home)), environ=forgetful
        )
        return ran.status, ran.error["code"]

    assert refusal(old) == (20, "verify.truncated")
    root_key = ("--home", str(old), "--root-key", f"{terminal.home}.key")
    for value in ("x", "y"):
        terminal.must("secret", "set", "a", *root_key, stdin=value, environ=forgetful)
    assert refusal(old) == (20, "verify.forked")
    assert (terminal.directory / "out").read_bytes() == published
    terminal.check()


def test_a_file_that_is_no_checkpoint_is_left_alone(terminal: Terminal) -> None:
    (terminal.directory / "notes.txt").write_text("mine")
    assert terminal.run("checkpoint", "publish", "notes.txt").status == 5
    assert (terminal.directory / "notes.txt").read_text() == "mine"
    terminal.check()


def test_doctor_says_how_much_was_not_published(terminal: Terminal) -> None:
    assert "3 of changes since #0" in terminal.must("doctor").text
    (terminal.directory / "out").mkdir()
    terminal.must("checkpoint", "publish", "out")
    assert "nothing: all was published" in terminal.must("doctor").text
    terminal.must("secret", "set", "a", stdin="w")
    assert "1 of changes since #3" in terminal.must("doctor").text
    terminal.check()


def test_a_copy_without_keys_proves_and_publishes(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(terminal.json("vault", "show")["verifiers"]["changes"])
    terminal.must("checkpoint", "publish", "old")
    terminal.must("secret", "set", "b", stdin="v")
    (tmp_path / "auditor").mkdir()
    shutil.copytree(terminal.home, tmp_path / "auditor" / "store")
    auditor = Terminal(tmp_path / "auditor")
    old = str(tmp_path / "old")

    for name, arguments in {
        "newest": ("prove", "#2"),
        "older": ("prove", "2", "--against", old),
        "growth": ("prove", "--since", old),
    }.items():
        (auditor.directory / name).write_bytes(auditor.must(*arguments).out)
    auditor.must("export", "tiles", "--out", "tiles")
    shutil.rmtree(auditor.home)

    key = ("--verifier", str(tmp_path / "key"))
    assert auditor.json("prove", "--check", "newest", *key)["size"] == 4
    checked = auditor.json("prove", "--check", "older", *key)
    assert (checked["position"], checked["size"]) == (2, 3)
    grown = auditor.json("prove", "--check", "growth", "--since", old, *key)
    assert (grown["since"], grown["size"]) == (3, 4)
    terminal.check()


def test_a_proof_is_refused_with_another_key_or_changed(terminal: Terminal, tmp_path: Path) -> None:
    verifiers = terminal.json("vault", "show")["verifiers"]
    proof = terminal.must("prove", "1").text
    (tmp_path / "proof").write_text(proof)
    (tmp_path / "changed").write_text(proof.replace("index 1", "index 0"))
    (tmp_path / "torn").write_text(proof[:200])

    def refusal(file: str, key: str) -> tuple[int, str]:
        ran = terminal.run("prove", "--check", file, "--verifier", key, "-o", "json")
        return ran.status, ran.error["code"]

    terminal.must("prove", "--check", "proof", "--verifier", verifiers["changes"])
    assert refusal("proof", verifiers["access"]) == (20, "checkpoint.signature-invalid")
    assert refusal("changed", verifiers["changes"]) == (20, "proof.invalid")
    assert refusal("torn", verifiers["changes"]) == (20, "proof.malformed")
    assert terminal.run("prove", "--check", "proof").status == 2
    assert terminal.run("prove", "3").status == 3
    assert terminal.run("prove").status == 2
    terminal.check()


def test_an_export_adds_what_is_new_and_rewrites_nothing(terminal: Terminal) -> None:
    def load(prefix: str) -> None:
        values = "{" + ", ".join(f'"{prefix}{at}": "v"' for at in range(300)) + "}"
        terminal.must("secret", "import", "-", "--format", "json", stdin=values)

    out = terminal.directory / "tiles"
    load("a")
    terminal.must("export", "tiles", "--out", "tiles")
    full = {path: path.stat() for path in (out / "tile").rglob("000")}
    assert len(full) == 2
    load("b")
    again = terminal.json("export", "tiles", "--out", "tiles")

    assert all(path.stat().st_mtime_ns == was.st_mtime_ns for path, was in full.items())
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert names == [
        "checkpoint",
        *("tile/0/000", "tile/0/001", "tile/0/002.p/91"),
        *("tile/1/000.p/1", "tile/1/000.p/2"),
        *("tile/entries/000", "tile/entries/001", "tile/entries/002.p/91"),
    ]
    assert again["size"] == 603
    assert terminal.json("export", "tiles", "--out", "tiles")["written"] == 0
    secret = b"muniment"
    assert not any(
        secret in path.read_bytes() for path in (out / "tile").rglob("*") if path.is_file()
    )
    terminal.check()


def test_verify_finds_a_wrong_memory_of_the_tree_and_nothing_is_proved_with_it(
    terminal: Terminal,
) -> None:
    values = "{" + ", ".join(f'"s{at}": "v"' for at in range(300)) + "}"
    terminal.must("secret", "import", "-", "--format", "json", stdin=values)
    (changes,) = terminal.home.glob("vaults/*/changes")
    right = remembered(changes)
    assert len(right) == 32

    remembered(changes, bytes(32))
    ran = terminal.run("verify", "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.root-mismatch")
    assert terminal.run("prove", "270").status == 20

    remembered(changes, right)
    terminal.must("prove", "270")
    terminal.check()


def remembered(directory: Path, hashed: bytes | None = None) -> bytes:
    """The hash that a log keeps of its first 256 records, and another in its place."""
    environment = open_environment(directory, create=False)
    table = Tables.open(environment).tiles
    with environment.begin(write=True) as transaction:
        found = transaction.get(tiles.key(1, 0), b"", db=table)
        if hashed is not None:
            transaction.put(tiles.key(1, 0), hashed, db=table)
    environment.close()
    return found


def test_an_export_of_another_log_is_refused(terminal: Terminal) -> None:
    terminal.must("export", "tiles", "--out", "tiles")
    before = (terminal.directory / "tiles/checkpoint").read_bytes()
    assert terminal.run("export", "tiles", "--out", "tiles", "--log", "access").status == 20
    assert (terminal.directory / "tiles/checkpoint").read_bytes() == before
    terminal.check()
