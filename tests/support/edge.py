"""A real service over a real store, and whatever can be sent to it through a socket.

Two vaults, `one` and `two`; clients that may do everything, or nothing; and an outside issuer whose
keys the tests hold.  What is left of the store is checked at the end.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import asdict

from eventstore.record import Entry
from eventstore.rule_events import BoundarySet
from server.identities import Identities
from server.roll import Issuer, Roll
from server.tokens import issue
from support.services import DOMAIN, Service, closed_after, free_port
from support.sign_in import EC, OUTSIDE, RSA, key_set, signed
from support.vaults import ALICE, check_store
from vault.access import SECRET_PERMISSIONS, STORAGE_PERMISSIONS
from vault.rule_commands import SetPolicy, UpdateBoundary
from vault.service import Vault
from vault.store import Store, system_clock

OUTSIDER = "user-1"
OUTSIDE_TENANT = "11111111-2222-4333-8444-555555555555"
VERSION = "api-version=7.4"


def all_of(principal: str) -> SetPolicy:
    """A policy that allows everything."""
    return SetPolicy(object_id=principal, secrets=SECRET_PERMISSIONS, storage=STORAGE_PERMISSIONS)


class Answer(NamedTuple):
    """What came back; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """The status, the code, and the inner code if there is one."""
        error = self.json["error"]
        return self.status, error["code"], error.get("innererror", {}).get("code", "")

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Edge:
    """A store with clients, and the service over it once it is `served`."""

    def __init__(self, directory: Path, clock: Callable[[], int] = system_clock) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.port = free_port()
        self.base = f"https://{DOMAIN}:{self.port}"
        self.secrets: dict[str, str] = {}
        self.blobs: dict[str, str] = {}
        self._kept = threading.local()
        self.service: Service
        with Store.create(self.home, clock=clock) as store:
            for name in ("one", "two"):
                store.create_vault(ALICE, name, purge_protection=name == "two")
            identities = Identities(store)
            for name in ("all", "nobody"):
                self.secrets[name] = identities.add(name).secret
            issuer = Issuer(issuer=OUTSIDE, tenant=OUTSIDE_TENANT, jwks=key_set(RSA, EC))
            self.roll: Roll = identities.trust(issuer)
            for vault in store.vaults():
                for principal in (self.oid("all"), OUTSIDER):
                    vault.handle(ALICE, all_of(principal))

    @contextmanager
    def served(self, **options: Any) -> Iterator[Service]:
        """Serve, and stop at the end."""
        options = {"application": "server.asgi:application", "port": self.port, **options}
        with Service(self.directory, **options) as service:
            self.service = service
            try:
                yield service
            finally:
                self.hang_up()

    @contextmanager
    def opened(self, vault: str = "one") -> Iterator[Vault]:
        """A vault, in this process."""
        with Store.open(self.home, clock=system_clock) as store:
            yield store.vault(vault)

    def set_boundary(self, vault: str = "one", **parts: Any) -> None:
        """From where the vault can be reached from now on; whatever is not in *parts* is open."""
        whole = asdict(BoundarySet(**{"allow_private_ranges": True, **parts}))
        with self.opened(vault) as opened:
            opened.handle(ALICE, UpdateBoundary(**whole))

    def traces(self, vault: str = "one") -> list[Entry[Any]]:
        with self.opened(vault) as opened, opened.access.snapshot() as snapshot:
            return list(snapshot.entries())

    def changes(self, vault: str = "one") -> list[Entry[Any]]:
        with self.opened(vault) as opened, opened.changes.snapshot() as snapshot:
            return list(snapshot.entries())

    def check(self) -> None:
        check_store(self.home, system_clock)

    # --- who asks ---------------------------------------------------------------------------------

    def oid(self, client: str) -> str:
        return self.roll.named(client).object_id

    def token(self, client: str = "all", **changes: Any) -> str:
        """A token as the service's own authority makes them."""
        asked: dict[str, Any] = {"authority": self.base, "audience": self.base}
        asked |= {"now": int(time.time())}
        return issue(self.roll, self.roll.named(client), method="secret", **asked | changes).token

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What the outside issuer says of its user; None leaves a claim out."""
        now = int(time.time())
        said = {"iss": OUTSIDE, "aud": self.base, "exp": now + 600, "nbf": now - 10, "iat": now}
        said |= {"sub": OUTSIDER, "tid": OUTSIDE_TENANT, **changes}
        return {name: value for name, value in said.items() if value is not None}

    def outside(self, key: Any = RSA, **changes: Any) -> str:
        return signed(self.claims(**changes), key)

    # --- asking -----------------------------------------------------------------------------------

    def host(self, vault: str = "one") -> str:
        return f"{vault}.{DOMAIN}:{self.port}" if vault else f"{DOMAIN}:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        vault: str = "one",
        headers: dict[str, str] | None = None,
        query: str = VERSION,
    ) -> Answer:
        """One request on this thread's connection; by a client that may do all, or with no *token*."""
        given = {"Host": self.host(vault), **(headers or {})}
        if token is not None:
            given["Authorization"] = f"Bearer {token or self._all()}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        target = path if "?" in path or not query else f"{path}?{query}"
        connection = self._connection()
        try:
            connection.request(method, target, body, given)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        except (OSError, http.client.HTTPException):
            self.hang_up()
            raise

    def _all(self) -> str:
        token: str | None = getattr(self._kept, "token", None)
        if token is None:
            token = self._kept.token = self.token()
        return token

    def _connection(self) -> http.client.HTTPSConnection:
        found: http.client.HTTPSConnection | None = getattr(self._kept, "connection", None)
        if found is None:
            found = self._kept.connection = self.service.connection()
        return found

    def hang_up(self) -> None:
        """Close this thread's connection."""
        found = getattr(self._kept, "connection", None)
        if found is not None:
            found.close()
            self._kept.connection = None

    def ask_until(
        self, ask: Callable[[], Answer], status: int, callers: int = 16, seconds: float = 40
    ) -> list[Answer]:
        """All answers to *callers* who *ask* at once and again, until twenty had that *status*.

        At once, since a slow machine answers one after the other more slowly than any limit is.
        """
        answers: list[Answer] = []
        end = time.monotonic() + seconds

        def going_on() -> bool:
            found = sum(answer.status == status for answer in list(answers))
            return found < 20 and time.monotonic() < end

        def repeat() -> None:
            while going_on():
                answers.append(ask())
            self.hang_up()

        asking = [threading.Thread(target=repeat) for _ in range(callers)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        return answers

    def set(self, name: str, value: str = "a value", **rest: Any) -> Any:
        answer = self.ask("PUT", f"/secrets/{name}", {"value": value}, **rest)
        assert answer.status == 200, answer
        return answer.json

    def head(self, method: str, target: str, *lines: str, token: str | None = "") -> bytes:
        """The head of a request, with the right Host and no last line; more *lines* may follow."""
        bearer = [] if token is None else [f"Authorization: Bearer {token or self._all()}"]
        told = [f"{method} {target} HTTP/1.1", f"Host: {self.host()}", *bearer, *lines]
        return "".join(f"{line}\r\n" for line in told).encode("latin-1")

    def raw(self, sent: bytes, seconds: float = 20) -> list[int]:
        """Send exactly these bytes; the statuses of all that is answered before the end."""
        with self.service.raw(seconds) as connection:
            with suppress(OSError):  # it need not listen to the end before it hangs up
                connection.sendall(sent)
            heard, _ = closed_after(connection)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", heard)]
