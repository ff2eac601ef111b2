"""Key Vault's data plane for storage accounts and SAS definitions, both ways.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from server import bodies, storage_bodies, storage_bundles
from server.asked import Asked, Writer, after, none, write_backup, write_nothing, write_page
from server.bundles import Form
from server.http import Response, json_response
from server.query import page_size
from vault import periods
from vault.commands import Command
from vault.storage_commands import (
    BackupStorageAccount,
    DeleteSasDefinition,
    DeleteStorageAccount,
    GetDeletedSasDefinition,
    GetDeletedStorageAccount,
    GetSasDefinition,
    GetStorageAccount,
    ListDeletedSasDefinitions,
    ListDeletedStorageAccounts,
    ListSasDefinitions,
    ListStorageAccounts,
    PurgeDeletedStorageAccount,
    RecoverDeletedSasDefinition,
    RecoverDeletedStorageAccount,
    RegenerateKey,
    RestoreStorageAccount,
    SetSasDefinition,
    SetStorageAccount,
    UpdateSasDefinition,
    UpdateStorageAccount,
)

# --- from a request to a command ------------------------------------------------------------------


def _set(asked: Asked) -> SetStorageAccount:
    body = storage_bodies.read_set(asked.body)
    period = none(body.regeneration_period)
    return SetStorageAccount(
        name=asked.name,
        resource_id=body.resource_id,
        active_key=body.active_key_name,
        auto_regenerate=body.auto_regenerate_key,
        period=None if period is None else periods.seconds(period),
        enabled=storage_bodies.enabled_in(body.attributes) is not False,
        tags=none(body.tags),
    )


def _update(asked: Asked) -> UpdateStorageAccount:
    body = storage_bodies.read_update(asked.body)
    period = body.regeneration_period
    return UpdateStorageAccount(
        name=asked.name,
        active_key=_unset(body.active_key_name),
        auto_regenerate=_unset(body.auto_regenerate_key),
        period=periods.seconds(period) if isinstance(period, str) else period,
        enabled=storage_bodies.enabled_in(body.attributes),
        tags=body.tags,
    )


def _regenerate(asked: Asked) -> RegenerateKey:
    body = storage_bodies.read_regenerate(asked.body)
    return RegenerateKey(name=asked.name, key_name=body.key_name)


def _set_sas(asked: Asked) -> SetSasDefinition:
    body = storage_bodies.read_set_sas(asked.body)
    return SetSasDefinition(
        account=asked.name,
        name=asked.sas,
        template=body.template_uri,
        sas_type=body.sas_type,
        period=periods.seconds(body.validity_period),
        enabled=storage_bodies.enabled_in(body.attributes) is not False,
        tags=none(body.tags),
    )


def _update_sas(asked: Asked) -> UpdateSasDefinition:
    body = storage_bodies.read_update_sas(asked.body)
    period = body.validity_period
    return UpdateSasDefinition(
        account=asked.name,
        name=asked.sas,
        template=_unset(body.template_uri),
        sas_type=_unset(body.sas_type),
        period=periods.seconds(period) if isinstance(period, str) else UNSET,
        enabled=storage_bodies.enabled_in(body.attributes),
        tags=body.tags,
    )


def _unset(given: Any) -> Any | UnsetType:
    return UNSET if given is None else given


def _of_account(kind: Callable[..., Command[Any]]) -> Callable[[Asked], Command[Any]]:
    return lambda asked: kind(name=asked.name)


def _of_definition(kind: Callable[..., Command[Any]]) -> Callable[[Asked], Command[Any]]:
    return lambda asked: kind(account=asked.name, name=asked.sas)


def _list(kind: Callable[..., Command[Any]]) -> Callable[[Asked], Command[Any]]:
    return lambda asked: kind(limit=page_size(asked.query), after=after(asked))


def _list_sas(kind: Callable[..., Command[Any]]) -> Callable[[Asked], Command[Any]]:
    return lambda asked: kind(account=asked.name, limit=page_size(asked.query), after=after(asked))


READERS: dict[type[Command[Any]], Callable[[Asked], Command[Any]]] = {
    SetStorageAccount: _set,
    UpdateStorageAccount: _update,
    RegenerateKey: _regenerate,
    RestoreStorageAccount: lambda asked: RestoreStorageAccount(blob=bodies.read_blob(asked.body)),
    SetSasDefinition: _set_sas,
    UpdateSasDefinition: _update_sas,
    **{
        kind: _of_account(kind)
        for kind in (
            GetStorageAccount,
            DeleteStorageAccount,
            BackupStorageAccount,
            GetDeletedStorageAccount,
            PurgeDeletedStorageAccount,
            RecoverDeletedStorageAccount,
        )
    },
    **{
        kind: _of_definition(kind)
        for kind in (
            GetSasDefinition,
            DeleteSasDefinition,
            GetDeletedSasDefinition,
            RecoverDeletedSasDefinition,
        )
    },
    **{kind: _list(kind) for kind in (ListStorageAccounts, ListDeletedStorageAccounts)},
    **{kind: _list_sas(kind) for kind in (ListSasDefinitions, ListDeletedSasDefinitions)},
}


# --- from an answer to a response -----------------------------------------------------------------

_Shown = Callable[[Form, Any], dict[str, Any]]


def _writes(shown: _Shown) -> Callable[[Form, Asked], Writer]:
    def writer(form: Form, _: Asked) -> Writer:
        def write(answer: Any) -> Response:
            return json_response(200, shown(form, answer))

        return write

    return writer


def _writes_page(shown: _Shown) -> Callable[[Form, Asked], Writer]:
    return lambda form, asked: write_page(asked, lambda one: one.name, lambda one: shown(form, one))


WRITERS: dict[type[Command[Any]], Callable[[Form, Asked], Writer]] = {
    **{
        kind: _writes(storage_bundles.account)
        for kind in (
            SetStorageAccount,
            GetStorageAccount,
            UpdateStorageAccount,
            DeleteStorageAccount,
            GetDeletedStorageAccount,
            RecoverDeletedStorageAccount,
            RegenerateKey,
            RestoreStorageAccount,
        )
    },
    **{
        kind: _writes(storage_bundles.definition)
        for kind in (
            SetSasDefinition,
            GetSasDefinition,
            UpdateSasDefinition,
            DeleteSasDefinition,
            GetDeletedSasDefinition,
            RecoverDeletedSasDefinition,
        )
    },
    ListStorageAccounts: _writes_page(storage_bundles.account_item),
    ListDeletedStorageAccounts: _writes_page(storage_bundles.account_item),
    ListSasDefinitions: _writes_page(storage_bundles.definition_item),
    ListDeletedSasDefinitions: _writes_page(storage_bundles.definition_item),
    BackupStorageAccount: write_backup,
    PurgeDeletedStorageAccount: write_nothing,
}
