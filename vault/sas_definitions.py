"""The rules of SAS definitions: what a command records, given what is so, or why not.  Pure.

A definition stands for a secret, ACCOUNT-DEFINITION, which is a new token at each read.  So no
ordinary secret may have that name, and no definition may be made where one has it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, assert_never

from eventstore.event import SecretContent
from eventstore.storage_events import (
    SasDefinitionDeleted,
    SasDefinitionPurged,
    SasDefinitionRecovered,
    SasDefinitionSet,
    SasDefinitionUpdated,
)
from projections.rows import SasDefinition, StorageAccount
from vault import names, periods, sas, storage
from vault.refusals import (
    DeletedSasDefinitionNotFound,
    SasDefinitionNotFound,
    SasIsDeleted,
    SasTemplateInvalid,
    SecretExists,
    SecretIsManaged,
)
from vault.secrets import Decision, Facts, given
from vault.storage_commands import (
    DeleteSasDefinition,
    RecoverDeletedSasDefinition,
    SetSasDefinition,
    UpdateSasDefinition,
)

LEAST_VALIDITY: Final = periods.MINUTE
CONTENT_TYPE: Final = "application/vnd.ms-sastoken-storage"
_MANAGED = re.compile(r"([0-9a-zA-Z]+)-([0-9a-zA-Z]+)", re.ASCII)

DefinitionCommand = (
    SetSasDefinition | UpdateSasDefinition | DeleteSasDefinition | RecoverDeletedSasDefinition
)


class Found(NamedTuple):
    """What is so: account, definition, what it says, and whether a secret has its name."""

    account: StorageAccount | None
    definition: SasDefinition | None = None
    content: SecretContent | None = None
    has_secret: bool = False


def decide(found: Found, command: DefinitionCommand, facts: Facts) -> list[Decision]:
    """What *command* records given what was *found*, or the refusal."""
    account = storage.active(found.account, command.account)
    match command:
        case SetSasDefinition():
            return [_set(account, found, command)]
        case UpdateSasDefinition():
            return [_update(account, found, command)]
        case DeleteSasDefinition(name=name):
            known = active(found.definition, account.name, name)
            due = facts.now + facts.settings.retention_days * periods.DAY
            event = SasDefinitionDeleted(name=account.name, sas=known.name, scheduled_purge=due)
            return [Decision(event)]
        case RecoverDeletedSasDefinition(name=name):
            known = deleted(found.definition, account.name, name)
            return [Decision(SasDefinitionRecovered(name=account.name, sas=known.name))]
        case _:
            assert_never(command)


def _set(account: StorageAccount, found: Found, command: SetSasDefinition) -> Decision:
    known = found.definition
    storage.check_name(command.name)
    name = command.name if known is None else known.name
    secret_name = f"{account.name}-{name}"
    names.check_name(secret_name)
    _check(account, command.sas_type, command.template, command.period, command.tags)
    if known is not None and known.deleted_date is not None:
        raise SasIsDeleted(
            f"SAS definition {secret_name} is deleted, and its name cannot be reused"
        )
    if found.has_secret:
        raise SecretExists(f"there is a secret {secret_name} already")
    event = SasDefinitionSet(
        name=account.name,
        sas=name,
        sas_type=command.sas_type,
        period=command.period,
        enabled=command.enabled,
    )
    content = SecretContent(template=command.template, tags=command.tags or None)
    return Decision(event, content, account.key)


def _update(account: StorageAccount, found: Found, command: UpdateSasDefinition) -> Decision:
    known = active(found.definition, account.name, command.name)
    content = found.content or SecretContent()
    event = SasDefinitionUpdated(
        name=account.name,
        sas=known.name,
        changed=storage.changed(command, "template", "sas_type", "period", "enabled", "tags"),
        sas_type=given(command.sas_type, known.sas_type),
        period=given(command.period, known.period),
        enabled=given(command.enabled, known.enabled),
    )
    template = given(command.template, content.template or "")
    tags = given(command.tags, content.tags)
    _check(account, event.sas_type, template, event.period, tags)
    return Decision(event, SecretContent(template=template, tags=tags or None), account.key)


def _check(
    account: StorageAccount,
    sas_type: str,
    template: str,
    period: int,
    tags: dict[str, str] | None,
) -> None:
    read(account, sas_type, template)
    periods.check(period, LEAST_VALIDITY)
    names.check_tags(tags)


def read(account: StorageAccount, sas_type: str, template: str) -> sas.Template:
    """A template that is for *account*.  Raise SasTemplateInvalid or SasVersionUnknown.

    Looked at for each token too: the account may stand for another resource since.
    """
    found = sas.read(sas_type, template)
    if found.account and found.account != account.account_name:
        raise SasTemplateInvalid("the template is the address of something in another account")
    return found


# --- what there is --------------------------------------------------------------------------------


def active(known: SasDefinition | None, account: str, name: str) -> SasDefinition:
    """*known* if it is active.  Raise SasDefinitionNotFound."""
    storage.check_name(name)
    if known is None or known.deleted_date is not None:
        raise not_found(account, name)
    return known


def deleted(known: SasDefinition | None, account: str, name: str) -> SasDefinition:
    """*known* if it is deleted.  Raise DeletedSasDefinitionNotFound."""
    storage.check_name(name)
    if known is None or known.deleted_date is None:
        raise DeletedSasDefinitionNotFound(f"Deleted SAS definition not found: {account}/{name}")
    return known


def not_found(account: str, name: str) -> SasDefinitionNotFound:
    return SasDefinitionNotFound(f"SAS definition not found: {account}/{name}")


def purge(known: SasDefinition) -> Decision:
    """The end of a deleted definition."""
    return Decision(SasDefinitionPurged(name=known.account, sas=known.name))


def parts(secret_name: str) -> tuple[str, str] | None:
    """The account and the definition that a secret of this name would be a token of."""
    found = _MANAGED.fullmatch(secret_name)
    return None if found is None else (found[1], found[2])


def is_managed(secret_name: str) -> SecretIsManaged:
    refusal = SecretIsManaged(f"the secret {secret_name} is the token of a SAS definition")
    refusal.about = secret_name
    return refusal
