"""An account remembers how far it has seen each log, and refuses a store that went back."""

import json
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from cli.kept import Kept
from eventstore.checkpoint import Signer, sign_checkpoint
from eventstore.storage import open_environment
from eventstore.transaction import HEAD
from support.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path)
    terminal.must("init")
    terminal.must("secret", "set", "a", stdin="v")
    return terminal


def copy_of(store: Path, name: str) -> Path:
    return Path(shutil.copytree(store, store.parent / name))


def put_back(terminal: Terminal, copy: Path) -> None:
    """The store becomes what it was when *copy* was made."""
    shutil.rmtree(terminal.home)
    shutil.copytree(copy, terminal.home)


def kept(terminal: Terminal) -> list[Path]:
    return sorted((terminal.directory / ".local/state/muniment/checkpoints").iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("secret", "show", "a"),
        ("secret", "list"),
        ("log",),
        ("vault", "list"),
        ("checkpoint", "show"),
        ("checkpoint", "publish", "out"),
        ("prove", "0"),
        ("export", "tiles", "--out", "tiles"),
        ("rebuild",),
    ],
    ids=" ".join,
)
def test_an_old_copy_put_back_is_refused_by_every_command(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    old = copy_of(terminal.home, "old")
    terminal.must("secret", "set", "a", stdin="w")
    put_back(terminal, old)

    ran = terminal.run(*command, "-o", "json")

    assert (ran.status, ran.error["code"]) == (20, "verify.rolled-back")
    assert "old copy" in ran.error["message"]
    assert "checkpoint forget" in ran.error["hint"]
    assert terminal.run("secret", "set", "a", stdin="x").status == 20
    terminal.must("verify", "--without-seen")


def test_a_lost_read_is_seen_as_well(terminal: Terminal) -> None:
    old = copy_of(terminal.home, "old")
    terminal.must("secret", "show", "a")
    put_back(terminal, old)
    assert terminal.run("secret", "show", "a").status == 20
    assert "wrong main access seen" in terminal.run("doctor").text
    terminal.must("verify", "--without-seen")


def test_another_history_of_the_same_length_is_seen(terminal: Terminal) -> None:
    old = copy_of(terminal.home, "old")
    terminal.must("secret", "set", "b", stdin="v")
    put_back(terminal, old)
    other_account = {"MUNIMENT_STATE": str(terminal.directory / "another")}
    terminal.must("secret", "set", "c", stdin="v", environ=other_account)
    terminal.must("secret", "set", "d", stdin="v", environ=other_account)

    ran = terminal.run("secret", "list", "-o", "json")

    assert (ran.status, ran.error["code"]) == (20, "verify.rolled-back")
    assert "is not the one" in ran.error["message"]
    assert terminal.run("verify").status == 20
    terminal.must("verify", environ=other_account)


def test_an_old_copy_that_is_accepted_is_used_from_then_on(terminal: Terminal) -> None:
    old = copy_of(terminal.home, "old")
    terminal.must("secret", "set", "a", stdin="w")
    put_back(terminal, old)

    assert terminal.run("checkpoint", "forget").status == 2
    assert terminal.run("secret", "show", "a").status == 20
    told = terminal.must("checkpoint", "forget", "--yes", "-o", "json").json
    assert [(one["log"], one["seen"] - one["size"]) for one in told] == [
        ("changes", 1),
        ("access", 0),
    ]

    assert terminal.must("secret", "show", "a", "--query", "value", "-o", "tsv").text == "v\n"
    terminal.check()


def test_a_copy_that_is_imported_is_accepted_and_so_is_its_original(terminal: Terminal) -> None:
    terminal.must("store", "backup", "copy")
    terminal.must("secret", "set", "a", stdin="w")
    made = ("--home", str(terminal.directory / "made"))
    root_key = ("--root-key", f"{terminal.home}.key")
    terminal.must("store", "import", "copy", *made, *root_key)

    shown = terminal.must("secret", "show", "a", *made, "--query", "value", "-o", "tsv")
    assert shown.text == "v\n"
    shown = terminal.must("secret", "show", "a", "--query", "value", "-o", "tsv")
    assert shown.text == "w\n"
    terminal.must("checkpoint", "forget", "--yes")
    terminal.check()


@pytest.mark.parametrize("name", ["", "made"], ids=["folder", "made"])
def test_a_vault_that_was_taken_away_is_missed(terminal: Terminal, name: str) -> None:
    terminal.must("vault", "create", "second")
    second = terminal.json("verify", "--vault-name", "second")[0]["vault"]
    gone, aside = terminal.home / "vaults" / second / name, terminal.directory / "aside"
    gone.rename(aside)

    for command in (("vault", "list"), ("secret", "list", "--vault-name", "second"), ("verify",)):
        ran = terminal.run(*command, "-o", "json")
        assert (ran.status, ran.error["code"]) == (20, "verify.rolled-back")
        assert second in ran.error["message"]
    assert f"no vault {second}" in terminal.run("doctor").text
    assert len(terminal.json("verify", "--without-seen")) == 2

    terminal.must("checkpoint", "forget", "--yes")
    assert [one["name"] for one in terminal.json("vault", "list")] == ["main"]
    aside.rename(gone)
    terminal.check()


def test_a_vault_that_was_taken_away_is_missed_though_the_store_says_it_is_another(
    terminal: Terminal,
) -> None:
    terminal.must("vault", "create", "second")
    second = terminal.json("verify", "--vault-name", "second")[0]["vault"]
    gone, aside = terminal.home / "vaults" / second, terminal.directory / "aside"
    file = terminal.home / "store.json"
    said = file.read_bytes()
    gone.rename(aside)
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(said) | {"store_id": "ab" * 16}))

    ran = terminal.run("verify", "-o", "json")
    assert (ran.status, ran.error["code"]) == (20, "verify.rolled-back")
    with_keys = terminal.run("vault", "list", "-o", "json")
    assert "the keyring of another store" in with_keys.error["message"]

    aside.rename(gone)
    file.write_bytes(said)
    terminal.check()


def test_two_accounts_use_one_store_in_turn(terminal: Terminal) -> None:
    other = {"MUNIMENT_STATE": str(terminal.directory / "another")}
    for value in ("w", "x", "y"):
        terminal.must("secret", "set", "a", stdin=value)
        terminal.must("secret", "set", "b", stdin=value, environ=other)
    terminal.check()


def test_what_was_seen_is_for_its_owner_only(terminal: Terminal) -> None:
    assert len(kept(terminal)) == 2
    for file in kept(terminal):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    terminal.check()


def test_what_cannot_be_kept_is_a_note(terminal: Terminal) -> None:
    (terminal.directory / "file").write_text("")
    ran = terminal.must("secret", "show", "a", "--state", "file/below")
    assert "what was seen is not kept in file/below" in ran.told
    terminal.check()


def test_what_was_seen_never_goes_back(tmp_path: Path) -> None:
    """Two commands end at once, and the one that saw less comes last."""
    signer = Signer("muniment/0/changes", bytes(32))
    kept = Kept(tmp_path)
    for size in (3, 2, 4, 1):
        kept.keep(signer.verifier.name, size, sign_checkpoint(size, bytes(32), signer))
    newest = kept.newest(signer.verifier.name)
    assert newest is not None
    assert newest.size == 4
    assert kept.newest("muniment/1/changes") is None


def test_a_kept_file_that_is_no_checkpoint_is_made_anew(terminal: Terminal) -> None:
    for file in kept(terminal):
        file.write_text("torn")
    terminal.must("secret", "list")
    assert all("muniment/" in file.read_text() for file in kept(terminal))
    terminal.check()


def test_a_head_that_was_set_back_in_place_is_seen(terminal: Terminal) -> None:
    """The records stay and only the head says less: the next event would overwrite history."""
    (changes,) = terminal.home.glob("vaults/*/changes")
    before = _head(changes)
    terminal.must("secret", "set", "a", stdin="w")
    after = _head(changes, before)
    assert terminal.run("secret", "set", "a", stdin="x").status == 20
    _head(changes, after)
    terminal.check()


def _head(directory: Path, row: bytes | None = None) -> bytes:
    environment = open_environment(directory, create=False)
    with environment.begin(write=True) as transaction:
        found = transaction.get(HEAD, b"")
        if row is not None:
            transaction.put(HEAD, row)
    environment.close()
    return found


def test_an_imported_copy_and_its_original_go_on_side_by_side(tmp_path: Path) -> None:
    """A drill must not teach anybody to give up what protects from a rollback."""
    original = Terminal(tmp_path)
    original.must("init", "main")
    original.must("secret", "set", "db", stdin="one")
    original.must("store", "backup", str(tmp_path / "copy"))
    imported = ("--home", str(tmp_path / "drill"))
    key = str(tmp_path / "store.key")
    original.must("store", "import", str(tmp_path / "copy"), *imported, "--root-key", key)
    for number in range(3):
        original.must("secret", "set", "db", *imported, stdin=f"drill {number}")
        assert (
            original.must("secret", "show", "db", "--query", "value", "-o", "tsv").text == "one\n"
        )
        original.must("secret", "set", "other", stdin=str(number))
    assert original.must("verify").status == 0
    assert original.must("verify", *imported).status == 0


def test_a_made_up_instance_does_not_let_an_old_copy_pass(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init", "main")
    terminal.must("secret", "set", "db", stdin="one")
    shutil.copytree(terminal.home, tmp_path / "old")
    terminal.must("secret", "set", "db", stdin="two")
    shutil.rmtree(terminal.home)
    shutil.copytree(tmp_path / "old", terminal.home)
    configuration = terminal.home / "store.json"
    made_up = json.loads(configuration.read_text()) | {"instance": "ab" * 16}
    configuration.write_text(json.dumps(made_up))
    assert terminal.run("secret", "show", "db").status == 20


def test_an_old_copy_of_an_import_is_refused_as_one_of_the_original_is(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.must("init", "main")
    terminal.must("store", "backup", str(tmp_path / "copy"))
    drill = tmp_path / "drill"
    imported = ("--home", str(drill))
    key = str(tmp_path / "store.key")
    terminal.must("store", "import", str(tmp_path / "copy"), *imported, "--root-key", key)
    shutil.copytree(drill, tmp_path / "old")
    terminal.must("secret", "set", "db", *imported, stdin="one")
    shutil.rmtree(drill)
    shutil.copytree(tmp_path / "old", drill)
    assert terminal.run("secret", "list", *imported).status == 20
    terminal.must("checkpoint", "forget", *imported, "--yes")
    assert terminal.run("secret", "list", *imported).status == 0
