"""Programs that use azure-keyvault 1.1.0, the client before today's, with the protocols of its time."""

import pytest

from support.served import CLIENTS, PROGRAMS, Program, Served, missing


@pytest.fixture
def client(served: Served) -> Program:
    python = CLIENTS / "bin" / "python"
    if not python.exists():
        missing("azure-keyvault 1.1.0 is not installed: make clients")
    return Program(served, python, PROGRAMS / "secrets_legacy.py")


@pytest.mark.parametrize("api", ["7.0", "2016-10-01"])
def test_a_secret_lives_from_its_first_version_to_its_purge(
    client: Program, served: Served, api: str
) -> None:
    name = f"life-{api}".replace(".", "-")
    saw = client.tell("life", name=name, api=api)

    shown = {
        "name": name,
        "contentType": "text/plain",
        "tags": {"team": "a"},
        "enabled": True,
        "recovery": "Recoverable+Purgeable",
    }
    missing = [404, "SecretNotFound", None]
    assert saw == {
        "set": ["first \u2603", shown],
        "latest": "second",
        "by version": "first \u2603",
        "updated": {**shown, "enabled": False},
        "disabled": [403, "Forbidden", "SecretDisabled"],
        "versions": 2,
        "listed": [name],
        "exists": [409, "Conflict", None],
        "restored": name,
        "deleted": [f"{served.vault()}/deletedsecrets/{name}", 90],
        "gone": missing,
        "taken": [409, "Conflict", "ObjectIsDeletedButRecoverable"],
        "deleted listed": [name],
        "recovered": name,
        "purged": missing,
    }


def test_its_pager_gives_all_of_300_secrets_once_and_in_order(
    client: Program, served: Served
) -> None:
    names = [f"s{number:03}" for number in range(300)]
    served.bring_in(names)
    saw = client.tell("pages", api="7.0")
    assert saw["names"] == names
    assert saw["first of ten"] == 10
