"""SAS definitions, and the tokens that are read as secrets: new at each read, recorded, never kept."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from eventstore.storage_events import SasTokenIssued
from support.providers import OTHER, key
from support.storage import TEMPLATE, Place, storage_place
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetSecret,
    ImportSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.refusals import (
    DeletedSasDefinitionNotFound,
    PeriodInvalid,
    SasDefinitionNotFound,
    SasIsDeleted,
    SasTemplateInvalid,
    SasVersionUnknown,
    SecretExists,
    SecretIsDisabled,
    SecretIsManaged,
    SecretNotFound,
    StorageAccountNotFound,
    StorageNameInvalid,
)
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedSasDefinition,
    GetSasDefinition,
    ListDeletedSasDefinitions,
    ListSasDefinitions,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RegenerateKey,
    RestoreStorageAccount,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

SERVICE = "https://shop.blob.core.windows.net/box/a%20b.txt?sv=2018-11-09&sr=b&sp=r"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with storage_place(tmp_path / "store") as place:
        place.set_account()
        yield place


def told(value: str) -> dict[str, str]:
    """The parameters of a token."""
    assert value.startswith("?")
    return {name: one[0] for name, one in parse_qs(value[1:], strict_parsing=True).items()}


def signed_by(value: str, signing_key: str) -> bool:
    """Whether an account token for `shop` is signed with a key, computed from Azure's rules."""
    parts = told(value)
    names = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv")
    text = "".join(f"{line}\n" for line in ("shop", *(parts.get(name, "") for name in names)))
    mac = hmac.digest(b64decode(signing_key), text.encode(), "sha256")
    return parts["sig"] == b64encode(mac).decode()


def issued(place: Place) -> list[SasTokenIssued]:
    return [one for one in place.history("access") if isinstance(one, SasTokenIssued)]


# --- tokens ---------------------------------------------------------------------------------------


def test_each_read_makes_a_token_of_its_own_that_the_active_key_signed(place: Place) -> None:
    place.set_sas()
    first = place.token()
    place.clock.advance(seconds=3)
    second = place.token("SHOP-ALL")

    for token in (first, second):
        assert token.value is not None
        assert signed_by(token.value, key(1))
        expires = datetime.fromisoformat(told(token.value)["se"]).replace(tzinfo=UTC)
        assert token.attributes.exp == int(expires.timestamp())
        assert (token.name, token.version, token.managed) == ("shop-all", "", True)
        assert token.content_type == "application/vnd.ms-sastoken-storage"
        assert (token.attributes.created, token.attributes.updated) == (None, None)
    assert second.attributes.exp == (first.attributes.exp or 0) + 3
    assert first.value != second.value


def test_a_token_of_a_service_definition_is_for_what_its_address_names(place: Place) -> None:
    place.set_sas("read", template=SERVICE, sas_type="service", period=60)
    value = place.token("shop-read").value
    assert value is not None
    parts = told(value)
    text = "\n".join(
        ("r", "", parts["se"], "/blob/shop/box/a b.txt", "", "", "", "2018-11-09", "b", "",
         "", "", "", "", "")
    )  # fmt: skip
    mac = hmac.digest(b64decode(key(1)), text.encode(), "sha256")
    assert parts["sig"] == b64encode(mac).decode()


def test_no_token_is_made_for_another_account_than_the_definitions(place: Place) -> None:
    place.set_sas("read", template=SERVICE, sas_type="service", period=60)
    place.set_account(resource_id=OTHER)
    with pytest.raises(SasTemplateInvalid):
        place.token("shop-read")
    assert issued(place) == []


def test_a_token_is_recorded_with_key_and_end_before_it_is_given_and_is_not_in_the_record(
    place: Place,
) -> None:
    place.set_sas()
    size = place.vault.changes.head().size
    token = place.token()

    record = issued(place)[-1]
    assert (record.name, record.account, record.sas) == ("shop-all", "shop", "all")
    assert (record.key_name, record.expires, record.at) == ("key1", token.attributes.exp, size)
    assert token.value is not None
    assert told(token.value)["sig"] not in str(place.entries("access")[-1])


def test_the_key_that_signs_is_the_one_that_is_active_now(place: Place) -> None:
    place.set_sas()
    place.ask(UpdateStorageAccount(name="shop", active_key="key2"))
    value = place.token().value
    assert value is not None
    assert signed_by(value, key(2))
    place.ask(RegenerateKey(name="shop", key_name="key2"))
    value = place.token().value
    assert value is not None
    assert signed_by(value, key(5))
    assert [one.key_name for one in issued(place)] == ["key2", "key2"]


def test_no_token_is_made_while_account_or_definition_is_disabled(place: Place) -> None:
    place.set_sas()
    for command, back in (
        (
            UpdateStorageAccount(name="shop", enabled=False),
            UpdateStorageAccount(name="shop", enabled=True),
        ),
        (
            UpdateSasDefinition(account="shop", name="all", enabled=False),
            UpdateSasDefinition(account="shop", name="all", enabled=True),
        ),
    ):
        place.ask(command)
        with pytest.raises(SecretIsDisabled):
            place.token()
        assert not place.ask(ListSecrets())[0].attributes.enabled
        place.ask(back)
        assert place.token().value
    assert place.entries("access")[-1].event.name == "shop-all"


def test_a_token_has_no_version_and_no_past(place: Place) -> None:
    place.set_sas()
    size = place.vault.changes.head().size
    assert place.ask(ListSecretVersions(name="shop-all")) == []
    with pytest.raises(SecretNotFound):
        place.ask(GetSecret(name="shop-all", version="0" * 32))
    with pytest.raises(SecretIsManaged):
        place.ask(GetSecret(name="shop-all", as_of=size))
    with pytest.raises(SecretNotFound):
        place.ask(GetSecret(name="shop-all", as_of=size - 1))


# --- beside ordinary secrets ----------------------------------------------------------------------


def test_managed_secrets_stand_among_the_others_in_the_order_of_names(place: Place) -> None:
    place.set_account("a")
    for name in ("shop", "shop-zzz-1", "shopping", "b", "A-0-0"):
        place.ask(SetSecret(name=name, value="x"))
    for account, name in (("shop", "b"), ("shop", "A"), ("a", "1")):
        place.set_sas(name, account)
    wanted = ["a-1", "A-0-0", "b", "shop", "shop-A", "shop-b", "shop-zzz-1", "shopping"]
    wanted.sort(key=str.upper)

    whole = place.ask(ListSecrets())

    assert [one.name for one in whole] == wanted
    assert [one.name for one in whole if one.managed] == ["a-1", "shop-A", "shop-b"]
    for size in range(1, len(wanted) + 1):
        paged: list[Any] = []
        while page := place.ask(ListSecrets(after=paged[-1].name if paged else "", limit=size)):
            assert len(page) <= size
            paged += page
        assert paged == whole


def test_a_list_of_the_past_has_the_managed_secrets_of_then(place: Place) -> None:
    place.set_sas("one")
    size = place.vault.changes.head().size
    place.set_sas("two")
    place.ask(DeleteSasDefinition(account="shop", name="one"))
    assert [one.name for one in place.ask(ListSecrets())] == ["shop-two"]
    assert [one.name for one in place.ask(ListSecrets(as_of=size))] == ["shop-one"]


@pytest.mark.parametrize(
    "command",
    [
        SetSecret(name="SHOP-all", value="x"),
        ImportSecrets(items=(SetSecret(name="free", value="x"), SetSecret(name="shop-all", value="x"))),
        UpdateSecret(name="shop-all", content_type="x"),
        DeleteSecret(name="shop-all"),
        BackupSecret(name="shop-all"),
    ],
)  # fmt: skip
def test_a_managed_secret_is_not_changed_through_its_name(
    place: Place, command: Command[Any]
) -> None:
    place.set_sas()
    with pytest.raises(SecretIsManaged):
        place.ask(command)
    assert [one.name for one in place.ask(ListSecrets())] == ["shop-all"]


def test_a_deleted_definition_still_holds_the_name_of_its_secret(place: Place) -> None:
    place.set_sas()
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    with pytest.raises(SecretIsManaged):
        place.ask(SetSecret(name="shop-all", value="x"))
    with pytest.raises(SecretNotFound):
        place.ask(DeleteSecret(name="shop-all"))
    place.ask(DeleteStorageAccount(name="shop"))
    with pytest.raises(SecretIsManaged):
        place.ask(SetSecret(name="shop-all", value="x"))
    place.ask(PurgeDeletedStorageAccount(name="shop"))
    assert place.ask(SetSecret(name="shop-all", value="x")).version


def test_a_definition_takes_no_name_that_a_secret_has(place: Place) -> None:
    place.ask(SetSecret(name="Shop-All", value="x"))
    secret = place.ask(BackupSecret(name="shop-all")).blob
    with pytest.raises(SecretExists):
        place.set_sas()
    place.ask(DeleteSecret(name="shop-all"))
    with pytest.raises(SecretExists):
        place.set_sas()
    place.ask(PurgeDeletedSecret(name="shop-all"))
    place.set_sas()
    with pytest.raises(SecretIsManaged):
        place.ask(RestoreSecret(blob=secret))


def test_a_blob_with_a_definition_is_not_restored_beside_a_secret_of_its_name(
    place: Place,
) -> None:
    place.set_sas()
    blob = place.ask(BackupStorageAccount(name="shop")).blob
    place.ask(DeleteStorageAccount(name="shop"))
    place.ask(PurgeDeletedStorageAccount(name="shop"))
    place.ask(SetSecret(name="shop-all", value="x"))
    with pytest.raises(SecretExists):
        place.ask(RestoreStorageAccount(blob=blob))


# --- definitions ----------------------------------------------------------------------------------


def test_a_definition_is_answered_as_it_was_given(place: Place) -> None:
    made = place.set_sas("All", tags={"for": "web"})
    assert (made.account, made.name, made.secret_name) == ("shop", "All", "shop-All")
    assert (made.template, made.sas_type, made.validity_period) == (TEMPLATE, "account", 14_400)
    assert made.tags == {"for": "web"}
    assert place.ask(GetSasDefinition(account="SHOP", name="ALL")) == made


def test_an_update_of_a_definition_keeps_what_it_does_not_name(place: Place) -> None:
    made = place.set_sas(tags={"for": "web"})
    place.clock.advance(seconds=5)
    changed = place.ask(UpdateSasDefinition(account="shop", name="all", period=60))
    assert (changed.validity_period, changed.template, changed.tags) == (60, TEMPLATE, made.tags)
    assert changed.attributes.created == made.attributes.created
    assert changed.attributes.updated == (made.attributes.updated or 0) + 5
    other = TEMPLATE.replace("rwdlacup", "r")
    place.ask(UpdateSasDefinition(account="shop", name="all", template=other))
    value = place.token().value
    assert value is not None
    assert told(value)["sp"] == "r"


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"name": "with-hyphen"}, StorageNameInvalid),
        ({"account": "other"}, StorageAccountNotFound),
        ({"template": "ss=b"}, SasTemplateInvalid),
        ({"template": TEMPLATE.replace("2018-03-28", "2019-01-01")}, SasVersionUnknown),
        ({"sas_type": "user"}, SasTemplateInvalid),
        ({"sas_type": "service"}, SasTemplateInvalid),
        ({"template": SERVICE.replace("shop", "other"), "sas_type": "service"}, SasTemplateInvalid),
        ({"period": 59}, PeriodInvalid),
        ({"period": 10**12}, PeriodInvalid),
    ],
)
def test_a_definition_that_cannot_be_is_refused(
    place: Place, changed: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        place.set_sas(**changed)
    assert place.ask(ListSecrets()) == []


def test_a_deleted_definition_can_be_recovered_and_holds_its_name(place: Place) -> None:
    made = place.set_sas()
    gone = place.ask(DeleteSasDefinition(account="shop", name="all"))
    assert gone.deletion.scheduled_purge_date > gone.deletion.deleted_date
    assert place.ask(ListSasDefinitions(account="shop")) == []
    assert place.ask(ListSecrets()) == []
    assert place.ask(ListDeletedSasDefinitions(account="shop")) == [gone]
    assert place.ask(GetDeletedSasDefinition(account="shop", name="all")) == gone
    with pytest.raises(SecretNotFound):
        place.token()
    with pytest.raises(SasDefinitionNotFound):
        place.ask(GetSasDefinition(account="shop", name="all"))
    with pytest.raises(SasIsDeleted):
        place.set_sas()
    assert place.ask(RecoverDeletedSasDefinition(account="shop", name="all")) == made
    with pytest.raises(DeletedSasDefinitionNotFound):
        place.ask(RecoverDeletedSasDefinition(account="shop", name="all"))


def test_a_deleted_definition_goes_when_its_retention_is_over(place: Place) -> None:
    place.set_sas()
    place.ask(DeleteSasDefinition(account="shop", name="all"))
    place.clock.advance(days=91)
    assert place.ask(ListDeletedSasDefinitions(account="shop")) == []
    assert place.set_sas().name == "all"


def test_definitions_are_listed_by_name_and_go_on_after_one(place: Place) -> None:
    for name in ("c", "B", "a"):
        place.set_sas(name)
    listed = place.ask(ListSasDefinitions(account="shop", after="A", limit=1))
    assert [one.name for one in listed] == ["B"]
