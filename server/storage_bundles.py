"""Storage accounts and SAS definitions as Key Vault's JSON: its members, in its order.  Pure.

No member could hold a key.  What is absent is left out and never null.
"""

from __future__ import annotations

from typing import Any

from server.bundles import Form, attributes
from vault import periods
from vault.answers import Deletion, SasBundle, StorageAccountBundle


def account(form: Form, bundle: StorageAccountBundle) -> dict[str, Any]:
    """A storage account, deleted or not."""
    shown = _account_begun(form, bundle)
    shown["activeKeyName"] = bundle.active_key_name
    shown["autoRegenerateKey"] = bundle.auto_regenerate_key
    if bundle.regeneration_period is not None:
        shown["regenerationPeriod"] = periods.text(bundle.regeneration_period)
    return _ended(form, bundle, shown)


def account_item(form: Form, bundle: StorageAccountBundle) -> dict[str, Any]:
    """A storage account in a list, which says less of it."""
    return _ended(form, bundle, _account_begun(form, bundle))


def definition(form: Form, bundle: SasBundle) -> dict[str, Any]:
    """A SAS definition, deleted or not; *sid* is the secret that its tokens are read as."""
    shown = _definition_begun(form, bundle)
    if bundle.template is not None:
        shown["templateUri"] = bundle.template
    shown["sasType"] = bundle.sas_type
    shown["validityPeriod"] = periods.text(bundle.validity_period)
    return _ended(form, bundle, shown)


def definition_item(form: Form, bundle: SasBundle) -> dict[str, Any]:
    """A SAS definition in a list, which says less of it."""
    return _ended(form, bundle, _definition_begun(form, bundle))


def _account_begun(form: Form, bundle: StorageAccountBundle) -> dict[str, Any]:
    shown = _deletion(form, bundle.name, bundle.deletion)
    shown["id"] = f"{form.base}/storage/{bundle.name}"
    shown["resourceId"] = bundle.resource_id
    return shown


def _definition_begun(form: Form, bundle: SasBundle) -> dict[str, Any]:
    place = f"{bundle.account}/sas/{bundle.name}"
    shown = _deletion(form, place, bundle.deletion)
    shown["id"] = f"{form.base}/storage/{place}"
    shown["sid"] = f"{form.base}/secrets/{bundle.secret_name}"
    return shown


def _deletion(form: Form, place: str, deletion: Deletion | None) -> dict[str, Any]:
    if deletion is None:
        return {}
    return {
        "recoveryId": f"{form.base}/deletedstorage/{place}",
        "deletedDate": deletion.deleted_date,
        "scheduledPurgeDate": deletion.scheduled_purge_date,
    }


def _ended(
    form: Form, bundle: StorageAccountBundle | SasBundle, shown: dict[str, Any]
) -> dict[str, Any]:
    shown["attributes"] = attributes(form, bundle.attributes)
    if bundle.tags is not None:
        shown["tags"] = bundle.tags
    return shown
