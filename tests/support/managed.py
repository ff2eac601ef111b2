"""A whole service without a socket: both planes, asked with real tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server.app import Done, Service
from server.authority import Authority
from server.http import Request
from server.identities import Identities
from server.reading import BodyTooLarge
from server.shared import SharedNumbers
from server.skiptoken import Skiptokens
from server.tokens import Authenticator, issue
from support.rest import Told, told
from support.vaults import START, Clock, check_store, make_store
from vault.caller import Caller

BASE = "https://vault.localhost:8443"
API = "2026-02-01"
GROUP = "shop"


class Managed:
    """A store with three clients: `root` administers it, `ann` and `bob` are anybody."""

    def __init__(self, home: Path, **options: Any) -> None:
        """*options* are the service's."""
        self.home = home
        self._options = options
        self.bodies = 0
        self.clock = Clock(START)
        self.store = make_store(home, self.clock)
        self.identities = Identities(self.store, clock=self.clock, ticks=lambda: 0.0)
        self.clients = {
            name: self.identities.add(name, store_administrator=name == "root").application
            for name in ("root", "ann", "bob")
        }
        self.done: list[Done] = []
        self.faults: list[str] = []
        self.service = self._made()
        self._runner = asyncio.Runner()
        self._runner.run(self.service.begin())

    def _made(self) -> Service:
        return Service(
            self.store,
            Authenticator(self.identities, self.clock),
            Authority(self.identities, self.clock),
            Skiptokens(b"k" * 32),
            SharedNumbers(b"k" * 32),
            tenant=self.identities.tenant,
            domain="vault.localhost",
            observe=self.done.append,
            fault=lambda kind, _: self.faults.append(kind),
            clock=lambda: 0.0,
            **self._options,
        )

    def close(self) -> None:
        self._runner.run(self.service.end())
        self._runner.close()

    @property
    def tenant(self) -> str:
        return self.identities.tenant

    @property
    def subscription(self) -> str:
        answer = self("GET", "/subscriptions")
        return str(answer.json["value"][0]["subscriptionId"])

    def oid(self, name: str) -> str:
        return self.clients[name].object_id

    def caller(self, name: str) -> Caller:
        return Caller(principal=self.oid(name), auth="test")

    def token(self, name: str = "root", audience: str = f"{BASE}/") -> str:
        return issue(
            self.identities.roll,
            self.clients[name],
            authority=BASE,
            audience=audience,
            now=self.clock() // 1_000_000,
            method="test",
        ).token

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str = "root",
        query: str = f"api-version={API}",
        token: str | None = None,
        host: str = "vault.localhost:8443",
        headers: tuple[tuple[str, str], ...] = (),
        peer: str = "203.0.113.9",
    ) -> Told:
        """Ask; the path of a vault begins at `vaults/`."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        path, mark, given = path.partition("?")
        bearer = self.token(who) if token is None else token
        sent = (("host", host), ("content-length", str(len(raw))), *headers)
        if bearer:
            sent = (*sent, ("authorization", f"Bearer {bearer}"))
        request = Request(method, path, given if mark else query, sent, b"", peer)

        async def read(most: int) -> bytes:
            self.bodies += 1
            if len(raw) > most:
                raise BodyTooLarge
            return raw

        return told(self._runner.run(self.service.answer(request, read)))

    def data(self, method: str, path: str, body: Any = None, **rest: Any) -> Told:
        """Ask a vault itself."""
        who, vault = rest.pop("who", "root"), rest.pop("vault", "acme")
        token = rest.pop("token", None) or self.token(who, BASE)
        host = f"{vault}.vault.localhost:8443"
        query = "api-version=7.4"
        return self(method, path, body, token=token, host=host, query=query, **rest)

    # --- vaults -----------------------------------------------------------------------------------

    def place(self, name: str = "acme", group: str = GROUP) -> str:
        return f"{self.groups}/{group}/providers/Microsoft.KeyVault/vaults/{name}"

    @property
    def groups(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups"

    @property
    def provider(self) -> str:
        return f"/subscriptions/{self.subscription}/providers/Microsoft.KeyVault"

    def policy(self, name: str, *secrets: str, **rest: Any) -> dict[str, Any]:
        permissions = {"secrets": list(secrets), "keys": ["all"], "certificates": ["get"]}
        return {
            "tenantId": self.tenant,
            "objectId": self.oid(name),
            "permissions": permissions,
            **rest,
        }

    def body(self, *policies: Any, tags: Any = None, **properties: Any) -> dict[str, Any]:
        whole = {
            "tenantId": self.tenant,
            "sku": {"family": "A", "name": "standard"},
            "accessPolicies": list(policies),
            **properties,
        }
        return {"location": "local", "properties": whole} | ({} if tags is None else {"tags": tags})

    def make(self, name: str = "acme", *policies: Any, who: str = "root", **rest: Any) -> Any:
        answer = self("PUT", self.place(name), self.body(*policies, **rest), who=who)
        assert answer.status in (200, 201), answer
        return answer.json


@contextmanager
def managed_in(home: Path, **options: Any) -> Iterator[Managed]:
    """A service over a new store in *home*; what it leaves there is checked at the end."""
    managed = Managed(home, **options)
    try:
        yield managed
    finally:
        managed.close()
    assert managed.faults == []
    check_store(home, managed.clock)
