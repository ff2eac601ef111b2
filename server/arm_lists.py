"""What the control plane lists: vaults, and the groups, subscriptions and tenants they stand in.

A list of vaults shows those whose set-up the caller may see, page by page, and each vault on a page
records that it was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from server import arm, arm_bodies, arm_query, arm_shapes
from server.arm import Found
from server.arm_problems import name_taken
from server.arm_shapes import Place, Shape
from server.http import Request, Response, json_response
from server.problems import Problem
from server.skiptoken import Place as ListPlace
from server.skiptoken import Skiptokens
from vault import names
from vault.answers import Resource
from vault.caller import Caller
from vault.refusals import NotAdministrator, VaultExists, VaultNameInvalid, VaultNotFound
from vault.resource_ids import RESOURCE_GROUP
from vault.rule_commands import DescribeVault
from vault.service import Vault
from vault.store import Store


class Asked(NamedTuple):
    """One request, taken apart."""

    found: Found
    query: dict[str, str]
    request: Request
    place: Place
    caller: Caller


class Lists:
    """The lists of one worker's resource manager."""

    def __init__(self, store: Store, skip: Skiptokens) -> None:
        self._store = store
        self._skip = skip

    @property
    def work(self) -> dict[str, Callable[[Asked], Response]]:
        """What answers each operation."""
        return {
            "VaultList": self._list,
            "VaultListAll": self._list,
            "VaultCheckName": self._check_name,
            "VaultListDeleted": self._list_deleted,
            "HsmList": self._list_nothing,
            "HsmListGroup": self._list_nothing,
            "HsmListDeleted": self._list_nothing,
            "ProviderOperations": self._list_operations,
            "ResourceList": self._list_resources,
            "GroupList": self._list_groups,
            "GroupGet": self._get_group,
            "GroupPut": self._get_group,
            "GroupHead": self._get_group,
            "SubscriptionList": self._list_subscriptions,
            "SubscriptionGet": self._get_subscription,
            "TenantList": self._list_tenants,
        }

    # -- vaults ----------------------------------------------------------------------------------

    def _list(self, asked: Asked) -> Response:
        group = asked.found.group
        vaults = [
            vault
            for vault in self._seen_by(asked, self._store.active())
            if not group or is_in_group(vault, group)
        ]
        return self._page(asked, vaults, arm_shapes.vault)

    def _list_deleted(self, asked: Asked) -> Response:
        vaults = self._seen_by(asked, self._store.deleted())
        return self._page(asked, vaults, arm_shapes.deleted)

    def _list_resources(self, asked: Asked) -> Response:
        wanted = arm_query.conditions(asked.query.get("$filter", ""))
        kind = wanted.pop("resourcetype", arm_shapes.VAULTS)
        vaults = self._seen_by(asked, self._store.active())
        if kind.lower() != arm_shapes.VAULTS.lower():
            vaults = []
        if "name" in wanted:
            vaults = [one for one in vaults if one.name.lower() == wanted["name"].lower()]
        if "resourcegroup" in wanted:
            vaults = [one for one in vaults if is_in_group(one, wanted["resourcegroup"])]
        return self._page(asked, vaults, arm_shapes.generic)

    def _seen_by(self, asked: Asked, vaults: Iterable[Vault]) -> list[Vault]:
        """Those of *vaults* whose set-up *caller* may see."""
        caller = asked.caller
        return [
            vault
            for vault in vaults
            if caller.store_administrator or caller.principal in vault.settings.administrators
        ]

    def _page(
        self, asked: Asked, vaults: list[Vault], shape: Callable[[Place, Resource], Shape]
    ) -> Response:
        """One page; each vault in it records that it was looked at."""
        place = ListPlace(asked.place.host, asked.found.route.operation, asked.found.group)
        after = ""
        if (token := asked.query.get("$skiptoken")) is not None:
            after = self._skip.read(place, token)
        left = [one for one in vaults if names.folded(one.name) > names.folded(after)]
        size = arm_query.page_size(asked.query)
        shown = [shape(asked.place, one) for one in _described(asked, left[:size])]
        page: Shape = {"value": shown}
        if len(left) > size:
            token = self._skip.issue(place, left[size - 1].name)
            page["nextLink"] = arm_query.next_link(
                asked.place.host, asked.request.path, asked.query, token, size
            )
        return json_response(200, page)

    # -- what is there besides -------------------------------------------------------------------

    def _check_name(self, asked: Asked) -> Response:
        name = arm_bodies.read_name(asked.request.body).name
        reason, message = "", ""
        try:
            names.check_vault_name(name)
            self._store.check_free(name)
        except VaultNameInvalid as wrong:
            reason, message = "AccountNameInvalid", wrong.message
        except VaultExists:
            # Not by what kind of vault: that a deleted one holds it is for who may see that one.
            reason, message = "AlreadyExists", name_taken(name)
        if not reason:
            return json_response(200, {"nameAvailable": True})
        told_so = {"nameAvailable": False, "reason": reason, "message": message}
        return json_response(200, told_so)

    def _list_groups(self, asked: Asked) -> Response:
        seen = self._seen_by(asked, self._store.active())
        named = {group_of(vault) for vault in seen}
        groups = sorted(named | {RESOURCE_GROUP}, key=str.lower)
        return json_response(200, {"value": [arm_shapes.group(asked.place, one) for one in groups]})

    def _get_group(self, asked: Asked) -> Response:
        if not arm.is_group_name(asked.found.group):
            raise Problem(
                404,
                "ResourceGroupNotFound",
                f"Resource group '{asked.found.group[:90]}' could not be found.",
            )
        if asked.request.method == "HEAD":
            return Response(204)
        return json_response(200, arm_shapes.group(asked.place, asked.found.group))

    def _list_subscriptions(self, asked: Asked) -> Response:
        return json_response(200, {"value": [arm_shapes.subscription(asked.place)]})

    def _get_subscription(self, asked: Asked) -> Response:
        return json_response(200, arm_shapes.subscription(asked.place))

    def _list_tenants(self, asked: Asked) -> Response:
        return json_response(200, {"value": [arm_shapes.tenant(asked.place)]})

    def _list_nothing(self, _: Asked) -> Response:
        return json_response(200, {"value": []})

    def _list_operations(self, _: Asked) -> Response:
        named = {one.action: one.summary for one in reversed(arm.ROUTES) if one.action}
        listed = [arm_shapes.operation(action, named[action]) for action in sorted(named)]
        return json_response(200, {"value": listed})


def group_of(vault: Vault) -> str:
    """The resource group that *vault* is in."""
    return vault.settings.resource_group or RESOURCE_GROUP


def is_in_group(vault: Vault, group: str) -> bool:
    """Whether *vault* is in the resource group of that name: its case does not count."""
    return group_of(vault).lower() == group.lower()


def _described(asked: Asked, vaults: Iterable[Vault]) -> Iterable[Resource]:
    for vault in vaults:
        try:
            yield vault.handle(asked.caller, DescribeVault())
        except (NotAdministrator, VaultNotFound):
            continue  # it changed hands, or ended, since the list was made
