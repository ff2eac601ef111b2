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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from server import arm, arm_bodies, arm_query, arm_shapes
from server.arm import Found
from server.arm_bodies import PutBody, Stands
from server.arm_lists import Asked, Lists, is_in_group
from server.arm_problems import IN_DELETED_STATE, arm_problem, told
from server.arm_shapes import Place
from server.http import Request, Response, json_response
from server.problems import Problem
from server.skiptoken import Skiptokens
from vault import names
from vault.caller import Caller
from vault.commands import Command, Malformed
from vault.refusals import (
    BadParameter,
    DeletedVaultNotFound,
    LocationIsFixed,
    NotStoreAdministrator,
    VaultExists,
    VaultIsDeleted,
    VaultNotFound,
)
from vault.resource_ids import LOCATION, subscription_id
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


class ControlPlane:
    """The resource manager of one worker."""

    def __init__(self, store: Store, skip: Skiptokens, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self.subscription = subscription_id(store.store_id)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="control-plane")
        self._work: dict[str, Callable[[Asked], Response]] = {
            "VaultGet": self._get,
            "VaultPut": self._put,
            "VaultPatch": self._patch,
            "VaultDelete": self._delete,
            "VaultPutPolicies": self._put_policies,
            "VaultGetDeleted": self._get_deleted,
            "VaultPurge": self._purge,
            **Lists(store, skip).work,
        }

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
        work = self._work[found.route.operation]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, work, asked)

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
        if not is_in_group(vault, asked.found.group):
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
        if not is_in_group(vault, asked.found.group):
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
        if vault is None or not is_in_group(vault, asked.found.group):
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
        if vault is None or not is_in_group(vault, asked.found.group):
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


def _attempt(read: Callable[[], PutBody]) -> tuple[PutBody | None, BadParameter | None]:
    try:
        return read(), None
    except BadParameter as wrong:
        return None, wrong.with_traceback(None)


def _location(vault: Vault) -> str:
    return (vault.settings.location or LOCATION).replace(" ", "").lower()
