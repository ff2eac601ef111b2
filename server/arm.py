"""The control plane's operations as Azure's resource manager has them: a method and a path.  Pure.

One table.  Fixed words are compared without regard to case, as the resource manager does.  A path
that begins like one of these belongs to the control plane, whatever it is; all else on the service's
own host is the token authority's.

Source: azure-mgmt-keyvault 14.1, and what the Azure CLI 2.91 sends.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from server.problems import Problem, method_not_allowed

_OWN: Final = ("subscriptions", "tenants", "providers")
_NAMES: Final = re.compile(r"[0-9A-Za-z_().-]{1,90}", re.ASCII)

VERSIONS: Final = (
    "2015-06-01",
    "2016-10-01",
    "2018-02-14",
    "2018-02-14-preview",
    "2019-09-01",
    "2020-04-01-preview",
    "2021-04-01-preview",
    "2021-06-01-preview",
    "2021-10-01",
    "2021-11-01-preview",
    "2022-02-01-preview",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-04-01-preview",
    "2024-11-01",
    "2024-12-01-preview",
    "2025-05-01",
    "2026-02-01",
    "2026-05-15",
)
"""The api-versions of Microsoft.KeyVault that are taken; all are answered alike."""

_ANY_VERSION: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](-preview)?", re.ASCII)

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"
_KEY_VAULT = "/providers/Microsoft.KeyVault"
_VAULT = _GROUP + _KEY_VAULT + "/vaults/{vault}"
_DELETED = _SUBSCRIPTION + _KEY_VAULT + "/locations/{location}/deletedVaults/{vault}"


class Route(NamedTuple):
    """One operation.  *action* is what the resource manager calls the right to it."""

    method: str
    path: str
    operation: str
    summary: str
    action: str = ""
    takes: str = ""
    gives: str = "Vault"

    @property
    def is_of_key_vault(self) -> bool:
        """Whether the api-version is one of Key Vault's, and not the resource manager's own."""
        return _KEY_VAULT in self.path


_READ, _WRITE = "Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/write"
_POLICIES = "Microsoft.KeyVault/vaults/accessPolicies/write"
_DELETED_READ = "Microsoft.KeyVault/locations/deletedVaults/read"

ROUTES: Final = (
    Route("GET", _VAULT, "VaultGet", "Get a vault", _READ),
    Route("PUT", _VAULT, "VaultPut", "Create, update or recover a vault", _WRITE, "PutVault"),
    Route("PATCH", _VAULT, "VaultPatch", "Update a vault", _WRITE, "PatchVault"),
    Route(
        "DELETE",
        _VAULT,
        "VaultDelete",
        "Delete a vault",
        "Microsoft.KeyVault/vaults/delete",
        "",
        "",
    ),
    Route(
        "PUT",
        _VAULT + "/accessPolicies/{kind}",
        "VaultPutPolicies",
        "Add, replace or remove access policies",
        _POLICIES,
        "Policies",
        "Policies",
    ),
    Route(
        "GET",
        _GROUP + _KEY_VAULT + "/vaults",
        "VaultList",
        "List the vaults of a resource group",
        _READ,
        gives="VaultList",
    ),
    Route(
        "GET",
        _SUBSCRIPTION + _KEY_VAULT + "/vaults",
        "VaultListAll",
        "List the vaults",
        _READ,
        gives="VaultList",
    ),
    Route(
        "POST",
        _SUBSCRIPTION + _KEY_VAULT + "/checkNameAvailability",
        "VaultCheckName",
        "Check whether a name is free",
        takes="CheckName",
        gives="NameAvailability",
    ),
    Route(
        "GET",
        _SUBSCRIPTION + _KEY_VAULT + "/deletedVaults",
        "VaultListDeleted",
        "List the deleted vaults",
        _DELETED_READ,
        gives="DeletedVaultList",
    ),
    Route(
        "GET",
        _DELETED,
        "VaultGetDeleted",
        "Get a deleted vault",
        _DELETED_READ,
        gives="DeletedVault",
    ),
    Route(
        "POST",
        _DELETED + "/purge",
        "VaultPurge",
        "Purge a deleted vault for ever",
        "Microsoft.KeyVault/locations/deletedVaults/purge/action",
        gives="",
    ),
    # There are no managed HSMs: what lists both kinds of vaults is told so.
    Route(
        "GET",
        _SUBSCRIPTION + _KEY_VAULT + "/managedHSMs",
        "HsmList",
        "List the managed HSMs: none",
        gives="EmptyList",
    ),
    Route(
        "GET",
        _GROUP + _KEY_VAULT + "/managedHSMs",
        "HsmListGroup",
        "List the managed HSMs of a resource group: none",
        gives="EmptyList",
    ),
    Route(
        "GET",
        _SUBSCRIPTION + _KEY_VAULT + "/deletedManagedHSMs",
        "HsmListDeleted",
        "List the deleted managed HSMs: none",
        gives="EmptyList",
    ),
    Route(
        "GET",
        _KEY_VAULT + "/operations",
        "ProviderOperations",
        "List what can be allowed",
        gives="OperationList",
    ),
    Route(
        "GET",
        _SUBSCRIPTION + "/resources",
        "ResourceList",
        "List the vaults as resources",
        _READ,
        gives="ResourceList",
    ),
    Route(
        "GET",
        _SUBSCRIPTION + "/resourceGroups",
        "GroupList",
        "List the resource groups that vaults name",
        _READ,
        gives="GroupList",
    ),
    Route("GET", _GROUP, "GroupGet", "Get a resource group", gives="Group"),
    Route("PUT", _GROUP, "GroupPut", "Get a resource group: every name is one", gives="Group"),
    Route("HEAD", _GROUP, "GroupHead", "Check a resource group", gives=""),
    Route("GET", "/subscriptions", "SubscriptionList", "List the one", gives="SubscriptionList"),
    Route("GET", _SUBSCRIPTION, "SubscriptionGet", "Get the subscription", gives="Subscription"),
    Route("GET", "/tenants", "TenantList", "List the one tenant", gives="TenantList"),
)


class Found(NamedTuple):
    """The operation of a request, and what its path names."""

    route: Route
    subscription: str = ""
    group: str = ""
    vault: str = ""
    location: str = ""
    kind: str = ""


def owns(path: str) -> bool:
    """Whether *path*, on the service's own host, is the control plane's."""
    return path.lstrip("/").partition("/")[0].lower() in _OWN


def find(method: str, path: str) -> Found:
    """The operation of *method* and *path*.  Raise a Problem, 404 or 405."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    allowed: set[str] = set()
    for route in ROUTES:
        named = _matched(route.path.strip("/").split("/"), parts)
        if named is None:
            continue
        if route.method == method:
            return Found(route, **named)
        allowed.add(route.method)
    raise method_not_allowed(allowed) if allowed else _nothing_here(path)


def check_version(route: Route, version: str) -> None:
    """Raise a Problem, 400, if *version* is none of the operation's."""
    if not version:
        raise Problem(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if version in VERSIONS or (not route.is_of_key_vault and _ANY_VERSION.fullmatch(version)):
        return
    raise Problem(
        400,
        "InvalidResourceType" if not route.is_of_key_vault else "NoRegisteredProviderFound",
        f"No registered resource provider found for API version '{version[:40]}'. "
        f"The supported api-versions are '{', '.join(VERSIONS)}'.",
    )


def is_group_name(name: str) -> bool:
    """Whether a resource group may be called so."""
    return bool(_NAMES.fullmatch(name)) and not name.endswith(".")


def _matched(words: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(words) != len(parts):
        return None
    named = {}
    for word, part in zip(words, parts, strict=True):
        if word.startswith("{"):
            named[word[1:-1]] = part
        elif word.lower() != part.lower():
            return None
    return named


def _nothing_here(path: str) -> Problem:
    shown = "".join(letter for letter in path[:200] if letter.isprintable())
    return Problem(404, "InvalidResourceType", f"There is no resource at '{shown}'.")
