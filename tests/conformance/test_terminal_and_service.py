"""The terminal and the service, each as it is installed, with nothing between them but TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.services import DOMAIN, Service
from support.terminal import Terminal


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Terminal]:
    """Who has the store that is served."""
    owner = Terminal(tmp_path / "owner")
    owner.directory.mkdir()
    owner.home = tmp_path / "home"
    owner.environ["MUNIMENT_HOME"] = str(owner.home)
    owner.must("init", "shop")
    yield owner
    owner.check()


def elsewhere(owner: Terminal, directory: Path, *permissions: str) -> Terminal:
    """A terminal with a client's id and secret, and without a store."""
    client = owner.json("identity", "add", "ci")
    allowed = ("--object-id", client["objectId"], "--secret-permissions", *permissions)
    owner.must("policy", "set", *allowed)
    terminal = Terminal(directory / "client")
    terminal.directory.mkdir()
    terminal.environ |= {
        "AZURE_CLIENT_ID": client["clientId"],
        "AZURE_TENANT_ID": client["tenantId"],
        "AZURE_CLIENT_SECRET": client["clientSecret"],
    }
    return terminal


def at(service: Service, vault: str = "shop") -> dict[str, str]:
    url = f"https://{vault}.{DOMAIN}:{service.port}"
    return {"MUNIMENT_URL": url, "MUNIMENT_CA": str(service.tls / "ca.pem")}


def test_a_secret_lives_and_dies_by_the_terminal(owner: Terminal, tmp_path: Path) -> None:
    ci = elsewhere(owner, tmp_path, "all")
    with Service(tmp_path, application="server.asgi:application") as service:
        ci.environ |= at(service)
        made = ci.json("secret", "set", "db", "--tags", "a=b", stdin="correct horse")
        shown = ci.json("secret", "show", "db")
        ci.must("secret", "set-attributes", "db", "--expires", "2031-01-01")
        cleared = ci.json("secret", "set-attributes", "db", "--expires", "none")
        ci.must("secret", "backup", "db", "--file", "db.backup")
        ci.must("secret", "delete", "db")
        gone = ci.run("secret", "show", "db")
        held = ci.run("secret", "set", "db", stdin="again")
        ci.must("secret", "recover", "db")
        ci.must("secret", "delete", "db")
        ci.must("secret", "purge", "db", "--yes")
        ci.must("secret", "restore", "--file", "db.backup")
        many = "".join(f"K{n}=v{n}\n" for n in range(30))
        ci.must("secret", "import", "-", stdin=many)
        exported = ci.must("secret", "export").json

    assert made["value"] == shown["value"] == "correct horse"
    assert cleared["attributes"]["expires"] is None
    assert (gone.status, held.status) == (3, 5)
    assert exported == {"db": "correct horse", **{f"K{n}": f"v{n}" for n in range(30)}}
    reads = owner.json("who-read", "db")
    assert len(reads) == 3
    assert not ci.home.exists()


def test_who_may_not_is_told_so(owner: Terminal, tmp_path: Path) -> None:
    ci = elsewhere(owner, tmp_path, "list")
    with Service(tmp_path, application="server.asgi:application") as service:
        ci.environ |= at(service)
        listed = ci.json("secret", "list")
        denied = ci.run("secret", "show", "db", "-o", "json")
        wrong = ci.run("secret", "list", environ={"AZURE_CLIENT_SECRET": "wrong"})
        other = ci.run("secret", "list", environ=at(service, "other"))
    away = ci.run("secret", "list")

    assert listed == []
    assert (denied.status, denied.error["code"]) == (4, "access.denied")
    assert (wrong.status, other.status, away.status) == (4, 3, 6)
