"""The control plane over HTTPS: vaults as resources of Azure's resource manager.

It stands on the service's own host, beside the token authority.  An administrator of a vault may do
everything with that vault; who may make vaults, and see how all of them are set up, is an
administrator of the store.  Everybody else is refused, and hears the same of a vault that is there and
of one that is not.  Every change is one command to the vault's one door, and so is every
look: both are recorded there.  A vault's boundary does not apply here, but the caller's address is
recorded.

Making a vault syncs dozens of times, and a purge can open many keys, so the work is done beside the
event loop, one request after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from server import arm, arm_bodies, arm_query, arm_shapes
from server.arm import Found
from server.arm_bodies import PutBody, Stands
from server.arm_problems import IN_DELETED_STATE, arm_problem, name_taken, told
from server.arm_shapes import Place, Shape
from server.http import Request, Response, json_response
from server.problems import Problem
from server.skiptoken import Place as ListPlace
from server.skiptoken import Skiptokens
from vault import names
from vault.answers import Resource
from vault.caller import Caller
from vault.commands import Command, Malformed
from vault.refusals import (
    BadParameter,
    DeletedVaultNotFound,
    LocationIsFixed,
    NotAdministrator,
    NotStoreAdministrator,
    VaultExists,
    VaultIsDeleted,
    VaultNameInvalid,
    VaultNotFound,
)
from vault.resource_ids import LOCATION, RESOURCE_GROUP, subscription_id
from vault.rule_commands import (
    ChangePolicies,
    DeleteVault,
    DescribeVault,
    PurgeVault,
    RecoverVault,
    UpdateVault,
)
from vault.service import Vault
from vault.store import Store

LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a body: 1,024 policies with every permission, and 1,000 ranges."""
_LARGEST_OF_ANYBODY: Final = 16 * 1024
"""Where no vault is named, whoever has a token may send one."""


class Asked(NamedTuple):
    """One request, taken apart."""

    found: Found
    query: dict[str, str]
    request: Request
    place: Place
    caller: Caller


class ControlPlane:
    """The resource manager of one worker."""

    def __init__(self, store: Store, skip: Skiptokens, tenant: str) -> None:
        self._store = store
        self._skip = skip
        self._tenant = tenant
        self.subscription = subscription_id(store.store_id)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="control-plane")

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def answer(self, request: Request, found: Found, base: str, caller: Caller) -> Response:
        """What *found* answers to *caller*.  Raise a Problem, or what could not be recorded."""
        place = Place(self.subscription, self._tenant, base.partition("://")[2])
        asked = Asked(found, arm_query.parameters(request.query), request, place, caller)
        arm.check_version(found.route, asked.query.get("api-version", ""))
        if found.subscription and found.subscription.lower() != self.subscription:
            raise Problem(
                404,
                "SubscriptionNotFound",
                f"The subscription '{found.subscription[:64]}' could not be found.",
            )
        work = _WORK[found.route.operation]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(self, asked))

    # -- one vault -------------------------------------------------------------------------------

    def _get(self, asked: Asked) -> Response:
        return self._shown(asked, self._found(asked))

    def _put(self, asked: Asked) -> Response:
        body, problem = _attempt(lambda: arm_bodies.read_put(asked.request.body))
        if body is not None and arm_bodies.is_recovery(body):
            return self._recover(asked)
        vault = self._named(asked)
        if vault is None:
            return self._make(asked, body, problem)
        if not self._is_in_group(vault, asked):
            self._check_may_miss(asked)
            raise VaultExists
        self._change(asked, vault, lambda: self._replacing(asked, vault, body, problem))
        return self._shown(asked, vault)

    def _replacing(
        self, asked: Asked, vault: Vault, body: PutBody | None, problem: BadParameter | None
    ) -> UpdateVault:
        settings = vault.settings
        if body is None:
            raise problem or BadParameter
        if arm_bodies.location_in(body.location) != _location(vault):
            raise LocationIsFixed
        held = Stands(settings.retention_days, settings.enabled_for)
        return arm_bodies.replacing(body, held, asked.place.tenant)

    def _make(self, asked: Asked, body: PutBody | None, problem: BadParameter | None) -> Response:
        self._check_may_make(asked)
        if body is None:
            raise problem or BadParameter
        names.check_vault_name(asked.found.vault)
        if not arm.is_group_name(asked.found.group):
            raise Problem(400, "InvalidResourceGroup", "The name of the group is not valid.")
        made = arm_bodies.making(body, asked.found.group, asked.place.tenant)
        try:
            vault = self._store.create_vault(
                asked.caller,
                asked.found.vault,
                retention_days=made.retention_days,
                purge_protection=made.purge_protection,
                wanted=made.wanted,
            )
        except VaultExists:
            self._check_not_deleted(asked)
            raise
        return self._shown(asked, vault, 201)

    def _check_may_make(self, asked: Asked) -> None:
        self._check_may_miss(asked)
        if not asked.caller.store_administrator:
            raise NotStoreAdministrator

    def _check_not_deleted(self, asked: Asked) -> None:
        try:
            self._store.deleted_vault(asked.found.vault)
        except DeletedVaultNotFound:
            return
        raise told(IN_DELETED_STATE, asked.found, "", "")

    def _recover(self, asked: Asked) -> Response:
        vault = self._ended(asked)
        if not self._is_in_group(vault, asked):
            self._check_may_miss(asked)
            raise DeletedVaultNotFound
        vault.handle(asked.caller, RecoverVault())
        return self._shown(asked, vault)

    def _patch(self, asked: Asked) -> Response:
        vault = self._found(asked)

        def command() -> UpdateVault:
            settings = vault.settings
            held = Stands(settings.retention_days, settings.enabled_for)
            body = arm_bodies.read_patch(asked.request.body)
            return arm_bodies.changing(body, held, asked.place.tenant)

        self._change(asked, vault, command)
        return self._shown(asked, vault)

    def _put_policies(self, asked: Asked) -> Response:
        vault = self._found(asked)
        tenant, body = asked.place.tenant, asked.request.body

        def command() -> ChangePolicies:
            return arm_bodies.read_policies(body, asked.found.kind, tenant)

        self._change(asked, vault, command, kind=ChangePolicies)
        resource = vault.handle(asked.caller, DescribeVault())
        return json_response(200, arm_shapes.policies(asked.place, resource))

    def _delete(self, asked: Asked) -> Response:
        vault = self._named(asked)
        if vault is None or not self._is_in_group(vault, asked):
            self._check_may_miss(asked)
            return Response(204)
        vault.handle(asked.caller, DeleteVault())
        return Response(200)

    def _change(
        self,
        asked: Asked,
        vault: Vault,
        make: Callable[[], Command[Any]],
        kind: type[Command[Any]] = UpdateVault,
    ) -> None:
        """Have *vault* do what *make* reads.  What cannot be read is refused by the vault, which
        first looks who asks, and records it."""
        try:
            command = make()
        except BadParameter as wrong:
            command = Malformed(kind=kind, problem=wrong.with_traceback(None))
        vault.handle(asked.caller, command)

    def _shown(self, asked: Asked, vault: Vault, status: int = 200) -> Response:
        resource = vault.handle(asked.caller, DescribeVault())
        return json_response(status, arm_shapes.vault(asked.place, resource))

    def _found(self, asked: Asked) -> Vault:
        """The vault that the path names.  Raise VaultNotFound."""
        vault = self._named(asked)
        if vault is None or not self._is_in_group(vault, asked):
            self._check_may_miss(asked)
            raise VaultNotFound
        return vault

    def may_manage(self, found: Found, caller: Caller) -> bool:
        """Whether *caller* is not refused everything, by the rules alone; nothing is recorded."""
        if caller.store_administrator or not found.vault:
            return True
        holder = self._store.holder(found.vault)
        return holder is not None and caller.principal in holder.settings.administrators

    def _check_may_miss(self, asked: Asked) -> None:
        """Raise the refusal for whoever may not know that nothing is where the path leads."""
        if self.may_manage(asked.found, asked.caller):
            return
        holder = self._store.holder(asked.found.vault)
        if holder is not None:
            # It is elsewhere, or ended: its log says who tried.
            holder.handle(asked.caller, DescribeVault())
        raise NotStoreAdministrator

    def _named(self, asked: Asked) -> Vault | None:
        try:
            return self._store.named(asked.found.vault)
        except (VaultNotFound, VaultIsDeleted):
            return None

    def _is_in_group(self, vault: Vault, asked: Asked) -> bool:
        return (
            vault.settings.resource_group or RESOURCE_GROUP
        ).lower() == asked.found.group.lower()

    # -- vaults that ended -----------------------------------------------------------------------

    def _get_deleted(self, asked: Asked) -> Response:
        vault = self._deleted(asked)
        resource = vault.handle(asked.caller, DescribeVault())
        return json_response(200, arm_shapes.deleted(asked.place, resource))

    def _purge(self, asked: Asked) -> Response:
        self._deleted(asked).handle(asked.caller, PurgeVault())
        return Response(200)

    def _deleted(self, asked: Asked) -> Vault:
        vault = self._ended(asked)
        if asked.found.location.replace(" ", "").lower() != _location(vault):
            self._check_may_miss(asked)
            raise DeletedVaultNotFound
        return vault

    def _ended(self, asked: Asked) -> Vault:
        try:
            return self._store.deleted_vault(asked.found.vault)
        except DeletedVaultNotFound:
            self._check_may_miss(asked)
            raise

    # -- lists -----------------------------------------------------------------------------------

    def _list(self, asked: Asked) -> Response:
        group = asked.found.group.lower()
        vaults = [
            vault
            for vault in self._seen_by(asked, self._store.active())
            if not group or _group(vault) == group
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
            group = wanted["resourcegroup"].lower()
            vaults = [one for one in vaults if _group(one) == group]
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
        named = {vault.settings.resource_group or RESOURCE_GROUP for vault in seen}
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


_WORK: Final[dict[str, Callable[[ControlPlane, Asked], Response]]] = {
    "VaultGet": ControlPlane._get,
    "VaultPut": ControlPlane._put,
    "VaultPatch": ControlPlane._patch,
    "VaultDelete": ControlPlane._delete,
    "VaultPutPolicies": ControlPlane._put_policies,
    "VaultList": ControlPlane._list,
    "VaultListAll": ControlPlane._list,
    "VaultCheckName": ControlPlane._check_name,
    "VaultListDeleted": ControlPlane._list_deleted,
    "VaultGetDeleted": ControlPlane._get_deleted,
    "VaultPurge": ControlPlane._purge,
    "HsmList": ControlPlane._list_nothing,
    "HsmListGroup": ControlPlane._list_nothing,
    "HsmListDeleted": ControlPlane._list_nothing,
    "ProviderOperations": ControlPlane._list_operations,
    "ResourceList": ControlPlane._list_resources,
    "GroupList": ControlPlane._list_groups,
    "GroupGet": ControlPlane._get_group,
    "GroupPut": ControlPlane._get_group,
    "GroupHead": ControlPlane._get_group,
    "SubscriptionList": ControlPlane._list_subscriptions,
    "SubscriptionGet": ControlPlane._get_subscription,
    "TenantList": ControlPlane._list_tenants,
}


def largest_body(found: Found) -> int:
    """How many bytes the body of a request for *found* may have."""
    return LARGEST_BODY if found.vault else _LARGEST_OF_ANYBODY


def problem_for(error: Exception, found: Found, caller: Caller) -> Problem:
    """What *error* is to *caller*."""
    scope = _scope(found)
    return arm_problem(error, found, scope, caller.principal)


def _scope(found: Found) -> str:
    scope = f"/subscriptions/{found.subscription[:64]}"
    if found.group:
        scope += f"/resourceGroups/{found.group[:90]}"
    return f"{scope}/providers/{arm_shapes.VAULTS}/{found.vault[:64]}" if found.vault else scope


def _described(asked: Asked, vaults: Iterable[Vault]) -> Iterable[Resource]:
    for vault in vaults:
        try:
            yield vault.handle(asked.caller, DescribeVault())
        except (NotAdministrator, VaultNotFound):
            continue  # it changed hands, or ended, since the list was made


def _attempt(read: Callable[[], PutBody]) -> tuple[PutBody | None, BadParameter | None]:
    try:
        return read(), None
    except BadParameter as wrong:
        return None, wrong.with_traceback(None)


def _group(vault: Vault) -> str:
    return (vault.settings.resource_group or RESOURCE_GROUP).lower()


def _location(vault: Vault) -> str:
    return (vault.settings.location or LOCATION).replace(" ", "").lower()
