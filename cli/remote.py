"""A vault behind a server, asked like one in the store: a command in, the vault's answer out.

The same `handle` takes the same commands, so the commands of the terminal do not know which it is.
Each request has an id, the same when it is sent again; and a token, which leaves for no other host
than the one that was named.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

from cli import wire, wire_answers
from cli.challenge import Address, address_of, authority_of
from cli.credentials import Client, Token, credentials, grant
from cli.https import Line, Reply, trust_of
from cli.problems import AnswerMalformed, ServerRefused, Unanswered, Usage
from cli.session import AGENT, Session
from vault.answers import SecretBundle
from vault.caller import Caller
from vault.commands import Command, ListDeletedSecrets, ListSecrets, ListSecretVersions

A = TypeVar("A")

_PROBE: Final = f"/secrets?api-version={wire.API_VERSION}&maxresults=1"
_PLAIN: Final = {"Accept": "application/json", "User-Agent": AGENT}
_REQUEST = re.compile(r"[!-~]{1,128}")
_LISTS: Final = (ListSecrets, ListSecretVersions, ListDeletedSecrets)


@contextmanager
def remote_vault(session: Session, url: str, named: str | None) -> Iterator[RemoteVault]:
    """The vault at *url*, held to be the one that an id or --vault-name *named*.  Raise Usage."""
    address = address_of(url, session.settings.resolve("url").origin)
    _check_named(session, address, named)
    trust = trust_of(session.settings.path("ca"))
    shown = credentials(session.settings, os.environ)
    with ExitStack() as opened:

        def reach(to: Address) -> Line:
            line = Line(to, trust, tell=session.terminal.note)
            opened.callback(line.close)
            return line

        yield RemoteVault(reach(address), shown, reach)


def _check_named(session: Session, address: Address, named: str | None) -> None:
    chosen = session.settings.resolve("vault")
    if chosen.origin == "--vault-name":
        named = session.vault_name(named)
    if named is not None and named.lower() != address.host.partition(".")[0]:
        raise Usage(f"--url names the vault {address.host.partition('.')[0]}, and not that one")
    if session.settings.resolve("principal").origin == "--as":
        raise Usage("--as: a server knows by the token who asks")


class RemoteVault:
    """The vault at the other end of *server*; *reach* makes a line to an authority."""

    def __init__(
        self, server: Line, shown: Token | Client, reach: Callable[[Address], Line]
    ) -> None:
        self._server = server
        self._client = shown if isinstance(shown, Client) else None
        self._token = shown if isinstance(shown, Token) else None
        self._reach = reach

    @property
    def name(self) -> str:
        """What its ids begin with."""
        return self._server.address.origin

    def handle(self, caller: Caller, command: Command[A]) -> A:
        """Do what *command* asks.  Raise the vault's refusal, or what stands in the way.

        Of *caller* only the request id is sent: who asks, the token says.
        """
        if isinstance(command, _LISTS):
            return cast(A, self._listed(caller.request, command))
        answer = self._asked(caller.request, command, wire.asked(command))
        return cast(A, wire_answers.answered(command, answer))

    def _listed(
        self, request: str, command: ListSecrets | ListSecretVersions | ListDeletedSecrets
    ) -> list[SecretBundle]:
        """All pages, or as many as hold what *command* asks for."""
        ask = wire.asked(command)
        found: list[SecretBundle] = []
        seen = {ask.target}
        while True:
            page = wire_answers.page(self._asked(request, command, ask))
            found += page.items
            if command.limit is not None and len(found) >= command.limit:
                return found[: command.limit]
            if page.next_link is None:
                return found
            ask = wire.Ask("GET", self._next(page.next_link, ask))
            if ask.target in seen:
                raise AnswerMalformed("the server's pages go round in a circle")
            seen.add(ask.target)

    def _next(self, link: str, last: wire.Ask) -> str:
        """The target of the next page.  A link to anywhere else would get the token."""
        try:
            url = urlsplit(link)
            there = address_of(f"{url.scheme}://{url.netloc}", "a link")
        except (ValueError, Usage):
            raise AnswerMalformed("the server's link to the next page is none") from None
        path = last.target.partition("?")[0]
        fits = there == self._server.address and url.path == path and _is_query(url.query)
        if not fits:
            raise AnswerMalformed("the server's link to the next page leads elsewhere")
        return f"{url.path}?{url.query}"

    def _asked(self, request: str, command: Command[Any], ask: wire.Ask) -> bytes:
        """The body of a good answer.  Raise everything else."""
        identity = _request_id(request)
        headers = {**_PLAIN, "x-ms-client-request-id": identity}
        if ask.body is not None:
            headers["Content-Type"] = "application/json"
        elif ask.method == "POST":
            headers["Content-Length"] = "0"
        try:
            reply = self._authorized(ask, headers)
        except Unanswered as error:
            if not wire.is_change(command):
                raise
            told = f"it may have been done; repeat it with --request-id {identity}"
            raise Unanswered(f"{error.message}: {told}") from None
        if 200 <= reply.status < 300:
            return reply.body
        if 300 <= reply.status < 400:
            raise ServerRefused("the server sends us elsewhere, and no token is sent after that")
        raise wire_answers.refusal(command, reply.status, reply.body)

    def _authorized(self, ask: wire.Ask, headers: Mapping[str, str]) -> Reply:
        reply = self._send(ask, headers)
        if reply.status == 401 and self._client is not None:
            # Its clock, its keys or its mind may have changed since the token was given.
            self._token = self._granted(self._client, reply)
            reply = self._send(ask, headers)
        return reply

    def _send(self, ask: wire.Ask, headers: Mapping[str, str]) -> Reply:
        if self._client is not None and (
            self._token is None or self._token.is_over(time.monotonic())
        ):
            self._token = self._granted(self._client, self._challenged())
        assert self._token is not None
        shown = {**headers, "Authorization": self._token.header}
        return self._server.send(ask.method, ask.target, shown, ask.body)

    def _challenged(self) -> Reply:
        """The server's 401 to a request that says nothing: no token, no name, no body."""
        reply = self._server.send("GET", _PROBE, _PLAIN)
        if reply.status == 401:
            return reply
        if reply.status < 400:
            raise AnswerMalformed("the server does not ask who we are")
        raise wire_answers.refusal(None, reply.status, reply.body)

    def _granted(self, client: Client, reply: Reply) -> Token:
        challenges = reply.headers.getlist("WWW-Authenticate")
        authority = authority_of(
            challenges, self._server.address, tenant=client.tenant, named=client.authority
        )
        line = self._reach(authority.address)

        def post(target: str, headers: Mapping[str, str], body: bytes) -> Reply:
            return line.send("POST", target, {**_PLAIN, **headers}, body)

        return grant(client, authority, post)


def _request_id(given: str) -> str:
    if not given:
        return str(uuid4())
    if not _REQUEST.fullmatch(given):
        raise Usage("--request-id: to a server, 1 to 128 characters of ASCII without spaces")
    return given


def _is_query(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and len(text) <= 8192
