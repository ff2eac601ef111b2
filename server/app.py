"""The service: from a request to its answer, whatever program serves it.

The order is the contract's: who are you (401), before a byte of the body is read; then, inside the
vault's one door, what may you (403), what did you ask (400), is it there (404), may it be done now.
Everything that one turn of the event loop brings shares a commit.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from eventstore.errors import (
    LogBusy,
    LogMisplaced,
    LogTruncated,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
)
from eventstore.log import Log
from server import arm, keyvault
from server.authority import Authority
from server.control_plane import ControlPlane, largest_body, problem_for
from server.health import Health
from server.hosts import Target, target_of
from server.http import Request, Response
from server.lag import DeleteLag
from server.limits import RefusalLimit
from server.pages import Pages
from server.problems import Problem, hidden, unavailable
from server.reading import ReadBody, with_body
from server.residence import Residence
from server.rotating import Rotating
from server.shared import SharedNumbers
from server.skiptoken import Skiptokens
from server.throttle import Throttle
from server.tokens import Authenticator, Principal, Unauthenticated
from server.turned_away import TurnedAway
from server.turns import Turns
from vault import names
from vault.answers import Rotated
from vault.caller import Caller
from vault.commands import Command
from vault.refusals import NOT_LET_IN, ErasurePending, VaultIsDeleted, VaultNotFound
from vault.service import ASKING, Vault
from vault.store import Store

if TYPE_CHECKING:
    from server.publisher import Publisher

_MOST_BLOBS = 4
"""So many bodies of the largest kind are read at once: a thousand would fill the memory."""

_MOST_ASKING = 8
"""So many threads wait for providers of storage accounts; more requests wait for one of these."""

_AUTHENTICATION = "Authentication"
"""What Key Vault calls a request that comes to its end before it is known who asks."""

_UNRECORDABLE = (LogUnavailable, OutcomeUnknown, LogBusy, LogTruncated, LogMisplaced)


class Done(NamedTuple):
    """A request that was answered, for the operational log and the metrics.  No secret is in it."""

    vault: str
    operation: str
    status: int
    seconds: float
    request_id: str
    principal: str
    client_request: str


class Open(NamedTuple):
    """A vault that is served."""

    vault: Vault
    turns: Turns
    throttle: Throttle


class Service:
    """One worker's service over one store."""

    def __init__(
        self,
        store: Store,
        authenticator: Authenticator,
        authority: Authority,
        skip: Skiptokens,
        shared: SharedNumbers,
        *,
        tenant: str,
        domain: str,
        throttled: bool = False,
        delete_lag: float = 0,
        observe: Callable[[Done], None] = lambda done: None,
        committed: Callable[[int], None] = lambda requests: None,
        fault: Callable[[str, str], None] = lambda kind, request: None,
        rotated: Callable[[str, Rotated], None] = lambda vault, rotated: None,
        pages: dict[str, Callable[[], Response]] | None = None,
        publisher: Publisher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._authenticator = authenticator
        self._authority = authority
        self._skip = skip
        self._tenant = tenant
        self._domain = domain
        self._throttled = throttled
        self._shared = shared
        self._lag = DeleteLag(delete_lag, shared)
        self._observe = observe
        self._committed = committed
        self._fault = fault
        self._pages = Pages(self.ready, publisher, pages or {})
        self._publisher = publisher
        self._clock = clock
        self._open: dict[str, Open] = {}
        self._refusals = RefusalLimit()
        self._turned_away = TurnedAway(clock=time.time)
        self._health = Health(store, shared)
        self._residence = Residence(self._logs)
        self._counting: asyncio.Task[None] | None = None
        self._control = ControlPlane(store, skip, tenant)
        self._blobs = asyncio.Semaphore(_MOST_BLOBS)
        self._asking = ThreadPoolExecutor(_MOST_ASKING, thread_name_prefix="provider")
        self._rotating = Rotating(
            store, ThreadPoolExecutor(1, thread_name_prefix="rotation"), rotated
        )

    async def begin(self) -> None:
        """Open the vaults, and begin to write down now and then what was turned away."""
        for vault in self._store.active():
            self._opened(vault.name)
        self._counting = asyncio.create_task(self._count())
        if self._publisher is not None:
            self._publisher.begin()
        self._rotating.begin()
        self._residence.begin()

    async def end(self) -> None:
        """Write down the last counts, and close the store."""
        if self._publisher is not None:
            await self._publisher.end()
        if self._counting is not None:
            self._counting.cancel()
        self._residence.end()
        self._write_counts()
        await self._rotating.end()
        # What was begun is brought to its end: behind it the store is closed.
        await asyncio.to_thread(self._asking.shutdown, cancel_futures=True)
        self._authenticator.close()
        self._authority.close()
        self._control.close()
        self._store.close()

    def _logs(self) -> list[Log]:
        vaults = [opened.vault for opened in self._open.values()]
        return [log for vault in vaults for log in (vault.changes, vault.access)]

    def ready(self) -> bool:
        """Whether an event can be recorded; after a failure this tries to."""
        return self._health.ready()

    async def answer(self, request: Request, read_body: ReadBody) -> Response:
        """The response to *request*, whose body is read only if it comes to that."""
        began = self._clock()
        request_id = _guid(os.urandom(16))
        said = _Said()
        try:
            response = await self._answer(request, read_body, said)
        except Problem as problem:
            response = problem.response()
        except Exception as fault:
            # Its text might quote a value, so only its kind is told, and that to the operator.
            self._fault(type(fault).__name__, request_id)
            response = Problem(500, "InternalServerError", "The request failed.").response()
        headers = (*response.headers, *keyvault.common_headers(request, request_id))
        self._observe(
            Done(
                said.vault,
                said.operation,
                response.status,
                self._clock() - began,
                request_id,
                said.principal,
                request.header("x-ms-client-request-id"),
            )
        )
        return Response(response.status, headers, response.body)

    async def _answer(self, request: Request, read_body: ReadBody, said: _Said) -> Response:
        if request.is_hidden:
            raise hidden()
        if (page := self._pages.at(request)) is not None:
            said.operation = "page"
            return page
        target = target_of(request.all("host"), self._domain)
        if target is None:
            raise Problem(400, "BadRequest", "The Host header names no vault of this service.")
        if not target.vault and arm.owns(request.path):
            return await self._manage(request, target, read_body, said)
        if not target.vault:
            return await self._authorize_clients(request, target, read_body, said)
        said.vault, said.operation = target.vault, _AUTHENTICATION
        principal = await self._authenticate(request, target, target.vault)
        said.principal, said.operation = principal.oid, ""
        return await self._ask(request, target, principal, read_body, said)

    # -- who are you -----------------------------------------------------------------------------

    async def _authenticate(
        self, request: Request, target: Target, vault: str, *, manages: bool = False
    ) -> Principal:
        try:
            return await self._authenticator.admit(request, target.resource, manages=manages)
        except Unauthenticated as unknown:
            self._turned_away.unauthenticated(vault)
            challenge = (
                f'Bearer authorization="{target.resource}/{self._tenant}", '
                f'resource="{target.resource}"'
            )
            if unknown.error:
                challenge += f', error="{unknown.error}"'
            code = "Unauthorized" if not manages else "InvalidAuthenticationToken"
            raise Problem(
                401, code, str(unknown), headers=(("WWW-Authenticate", challenge),)
            ) from None
        except MunimentError as unreadable:
            # Whom the token names cannot be looked up: nobody is let in, and it may pass.
            self._fault(type(unreadable).__name__, "")
            raise unavailable() from None

    async def _authorize_clients(
        self, request: Request, target: Target, read_body: ReadBody, said: _Said
    ) -> Response:
        said.operation = _AUTHENTICATION
        whole = await with_body(request, read_body, 64 * 1024)
        response = await self._authority.answer(whole, target.base)
        if response is None:
            raise Problem(404, "NotFound", "There is nothing at this address.")
        return response

    async def _manage(
        self, request: Request, target: Target, read_body: ReadBody, said: _Said
    ) -> Response:
        """What the control plane answers."""
        said.operation = _AUTHENTICATION
        try:
            found = arm.find(request.method, request.path)
        except Problem:
            await self._authenticate(request, target, "", manages=True)
            said.operation = ""
            raise
        said.vault = found.vault[: names.MAX_VAULT_NAME].lower()
        principal = await self._authenticate(request, target, said.vault, manages=True)
        said.principal, said.operation = principal.oid, found.route.operation
        way = (principal.appid, request.peer, request.arrival)
        self._limit(self._refusals.wait(principal.oid, way, self._clock()), said.vault)
        caller = _caller(request, principal)
        try:
            if self._control.may_manage(found, caller):
                request = await with_body(request, read_body, largest_body(found))
            else:
                # Refused whatever the body says, so it is not read; amid a flood it is not recorded.
                wait = self._refusals.wait_if_refused(principal.oid, self._clock())
                self._limit(wait, said.vault)
            return await self._control.answer(request, found, target.base, caller)
        except MunimentError as refusal:
            self._note(refusal, principal.oid, way)
            raise problem_for(refusal, found, caller) from None

    # -- what may you ----------------------------------------------------------------------------

    async def _ask(
        self,
        request: Request,
        target: Target,
        principal: Principal,
        read_body: ReadBody,
        said: _Said,
    ) -> Response:
        opened = self._opened(target.vault)
        if opened is None:
            raise Problem(404, "VaultNotFound", f"The vault {target.vault[:24]} was not found.")
        way = (principal.appid, request.peer, request.arrival)
        self._limit(self._refusals.wait(principal.oid, way, self._clock()), target.vault)
        # The body has no name here: a refusal's traceback holds this frame, and so all of its names,
        # until the garbage collector comes by.
        plan = keyvault.plan(
            await self._whole(opened, request, principal, read_body), target.base, self._skip
        )
        said.operation = plan.operation
        if self._throttled:
            self._limit(opened.throttle.wait(plan.operation, self._clock()), target.vault)
        plan = self._lag.before(target.vault, plan, self._clock())
        caller = _caller(request, principal)
        try:
            self._hold_back(opened, caller, plan.command, target.vault)
            answer = await self._ask_vault(opened, target.vault, caller, plan.command)
        except MunimentError as refusal:
            self._note(refusal, principal.oid, way)
            if self._throttled and isinstance(refusal, NOT_LET_IN):
                opened.throttle.refused(plan.operation, self._clock())
            raise plan.problem_of(refusal, principal.caller_text, opened.vault.name) from None
        self._lag.after(target.vault, plan, self._clock())
        return plan.render(answer)

    async def _ask_vault(
        self, opened: Open, name: str, caller: Caller, command: Command[Any]
    ) -> Any:
        try:
            return await self._answered(opened, caller, command)
        except (VaultIsDeleted, VaultNotFound):
            # Somebody deleted it; or purged it, and there may be another one of that name.
            self._open.pop(name, None)
            found = self._opened(name)
            if found is None:
                raise
            return await self._answered(found, caller, command)

    async def _answered(self, opened: Open, caller: Caller, command: Command[Any]) -> Any:
        """The vault's answer; if a storage account's provider is asked, from another thread."""
        if not isinstance(command, ASKING):
            return await opened.turns.ask(caller, command)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._asking, opened.vault.handle, caller, command)

    async def _whole(
        self, opened: Open, request: Request, principal: Principal, read_body: ReadBody
    ) -> Request:
        """*request* with its body; without, if it is a blob and the caller may not bring one."""
        most, restore = keyvault.largest_body(request), keyvault.restore_in(request)
        if restore is None:
            return await with_body(request, read_body, most)
        if not opened.vault.lets(_caller(request, principal), restore):
            return request
        async with self._blobs:
            return await with_body(request, read_body, most)

    def _opened(self, name: str) -> Open | None:
        known = self._open.get(name)
        if known is None:
            try:
                vault = self._store.named(name)
            except (VaultNotFound, VaultIsDeleted):
                return None
            except ErasurePending:
                raise unavailable() from None
            # Hosts are lower case here, whatever the vault's name is.
            host = vault.name.lower()
            known = Open(vault, Turns(vault, self._committed), Throttle(self._shared, host))
            self._open[host] = known
            self._turned_away.expect(host)
        return known

    def _hold_back(self, opened: Open, caller: Caller, command: Command[Any], vault: str) -> None:
        """Amid a flood of refusals, ask the rules alone before another one is recorded."""
        wait = self._refusals.wait_if_refused(caller.principal, self._clock())
        if wait > 0 and not opened.vault.lets(caller, command):
            self._limit(wait, vault)

    def _limit(self, wait: float, vault: str) -> None:
        if wait <= 0:
            return
        self._turned_away.throttled(vault)
        raise Problem(
            429,
            "Throttled",
            "Request was not processed because too many requests were received. "
            "Reason: VaultRequestTypeLimitReached",
            headers=(("Retry-After", str(max(1, round(wait)))),),
        )

    def _note(self, refusal: MunimentError, principal: str, way: Hashable) -> None:
        if isinstance(refusal, _UNRECORDABLE):
            self._health.failed()
        else:
            self._refusals.refused(principal, way, self._clock())

    # -- what was turned away --------------------------------------------------------------------

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(self._turned_away.interval)
            self._write_counts()

    def _write_counts(self) -> None:
        for name, counts in self._turned_away.take().items():
            try:
                opened = self._opened(name)
                if opened is not None:
                    opened.vault.record_turned_away(*counts)
            except (MunimentError, OSError):
                self._health.failed()
                self._turned_away.put_back(name, counts)


def _guid(random: bytes) -> str:
    """A GUID of version 4, as `uuid.uuid4` writes one."""
    digits = f"{int.from_bytes(random, 'big') & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class _Said:
    """What is known of a request so far."""

    def __init__(self) -> None:
        self.vault = self.operation = self.principal = ""


def _caller(request: Request, principal: Principal) -> Caller:
    return Caller(
        principal=principal.oid,
        auth=principal.method,
        address=request.peer,
        agent=request.header("user-agent")[: names.MAX_CALLER_TEXT],
        request=request.header("x-ms-client-request-id")[: names.MAX_CALLER_TEXT],
        # Some clients send one id with all that they ask.
        shared=True,
        application=principal.appid[: names.MAX_CALLER_TEXT],
        arrival=request.arrival,
        store_administrator=principal.store_administrator,
    )
