"""A vault to live in, asked as Key Vault's clients ask: requests in, JSON out, and no socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from server.http import Request, Response
from server.keyvault import plan
from server.lag import DeleteLag
from server.problems import Problem
from server.shared import SharedNumbers
from server.skiptoken import Skiptokens
from support.life import Life, life_in
from support.vaults import ALICE
from vault.caller import Caller
from vault.commands import Command
from vault.together import Ask

BASE = "https://test-vault.vault.localhost:8443"
CALLER_TEXT = "appid=A;oid=O;iss=https://issuer.example/"
VERSION = "7.4"


class Told(NamedTuple):
    """What a client sees: the body as JSON, members in their order."""

    status: int
    json: Any
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def inner(self) -> str | None:
        inner = self.json["error"].get("innererror")
        return inner and str(inner["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Rest:
    """A vault behind its REST interface; call it with a method and a path."""

    def __init__(self, life: Life, base: str = BASE) -> None:
        self.life = life
        self.base = base
        self.skip = Skiptokens(b"k" * 32)
        self.lag = DeleteLag(0, SharedNumbers(b"k" * 32))
        self.now = 0.0

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str | None = None,
        caller: Caller = ALICE,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Told:
        """Ask; a path with a query of its own is taken as it is."""
        path, mark, given = path.partition("?")
        if query is None:
            query = given if mark else f"api-version={VERSION}"
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        return self.send(Request(method, path, query, headers, raw, "127.0.0.1"), caller)

    def send(self, request: Request, caller: Caller = ALICE) -> Told:
        return told(self.answer(request, caller))

    def answer(self, request: Request, caller: Caller = ALICE) -> Response:
        try:
            planned = self.lag.before("", plan(request, self.base, self.skip), self.now)
        except Problem as problem:
            return problem.response()
        try:
            answer = self._handle(caller, planned.command)
            self.lag.after("", planned, self.now)
            return planned.render(answer)
        except Exception as error:
            return planned.problem_of(error, CALLER_TEXT, self.life.vault.name).response()

    def _handle(self, caller: Caller, command: Command[Any]) -> Any:
        [outcome] = self.life.vault.handle_all([Ask(caller, command)])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def set(self, name: str, value: str = "a value", **rest: Any) -> Any:
        answer = self("PUT", f"/secrets/{name}", {"value": value, **rest})
        assert answer.status == 200, answer
        return answer.json

    def pages(self, path: str) -> list[list[Any]]:
        """Walk from page to page as a client does, by nextLink alone."""
        found = []
        answer = self("GET", path)
        while True:
            assert answer.status == 200, answer
            found.append(answer.json["value"])
            link = answer.json["nextLink"]
            if link is None:
                return found
            parts = urlsplit(link)
            answer = self("GET", parts.path, query=parts.query)


def told(response: Response) -> Told:
    content = json.loads(response.body) if response.body else None
    return Told(response.status, content, dict(response.headers), response.body)


@contextmanager
def rest_in(home: Path, **options: Any) -> Iterator[Rest]:
    """A vault in *home* behind REST; what it leaves there is checked at the end."""
    with life_in(home, **options) as life:
        yield Rest(life)
