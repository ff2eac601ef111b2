"""A small Key Vault of the tests' own: REST over TLS on a socket, in front of a real vault.

It writes what Key Vault was recorded to write, by a few lines of its own, so that the terminal is
held to that and not to ourselves; or, if it is told so, what `server.keyvault` writes.  It can be
told to misbehave.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import structs

from eventstore.errors import MunimentError, RequestIdReused
from server import certificates, keyvault
from server.http import Request
from server.problems import Problem
from server.skiptoken import Skiptokens
from vault import commands, refusals
from vault.answers import SecretBundle
from vault.caller import Caller
from vault.service import Vault

DOMAIN = "vault.localhost"
TENANT = "5e1f0b0e-7a3f-4f6e-9a52-0c6a3e1a7f10"
VERSIONS = ("7.3", "7.4", "7.5", "7.6")

_NOT_THERE = (404, "SecretNotFound", "")
_ERRORS: dict[type[Exception], tuple[int, str, str]] = {
    refusals.AccessDenied: (403, "Forbidden", "AccessDenied"),
    refusals.SecretIsDisabled: (403, "Forbidden", "SecretDisabled"),
    refusals.PurgeIsProtected: (403, "Forbidden", "ForbiddenByPolicy"),
    refusals.SecretNotFound: _NOT_THERE,
    refusals.SecretErased: _NOT_THERE,
    refusals.DeletedSecretNotFound: _NOT_THERE,
    refusals.SecretIsDeleted: (409, "Conflict", "ObjectIsDeletedButRecoverable"),
    refusals.SecretExists: (409, "Conflict", ""),
    RequestIdReused: (409, "Conflict", "RequestIdReused"),
}


class Seen(NamedTuple):
    """A request as it came in."""

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Canned:
    """An answer that is given whatever was asked; a status of 0 hangs up instead.

    With *done* the request is carried out first.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    done: bool = False


class KeyVault:
    """Serves *vault* as `https://NAME.vault.localhost:PORT`, and tokens one domain above."""

    def __init__(self, directory: Path, vault: Vault, domain: str = DOMAIN) -> None:
        self.vault = vault
        self.domain = domain
        self.tokens = {"alices-token": "alice@example.com", "bobs-token": "bob@example.com"}
        self.clients = {("app", "s3cret&=+"): "alices-token"}
        self.lifetime: int | str = 3600
        self.challenge: Callable[[], str] = self.plain_challenge
        self.is_ours = False
        self.seen: list[Seen] = []
        self.script: list[Canned] = []
        self.token_script: list[Canned] = []
        self.ca = directory / "ca.pem"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificates(directory, self.ca, domain))
        self._http = _Server(self, context)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def authority(self) -> str:
        return f"https://{self.domain}:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.vault.name}.{self.domain}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes the terminal ask this server as Alice."""
        return {
            "MUNIMENT_URL": self.url,
            "MUNIMENT_CA": str(self.ca),
            "MUNIMENT_TOKEN": "alices-token",
        }

    def plain_challenge(self) -> str:
        return f'Bearer authorization="{self.authority}/{TENANT}", resource="{self.authority}"'

    # --- what it answers --------------------------------------------------------------------------

    def answer(self, request: Seen) -> Canned:
        self.seen.append(request)
        if request.host.partition(":")[0] == self.domain:
            return self.token_script.pop(0) if self.token_script else self._token(request)
        principal = self._principal(request.headers.get("Authorization", ""))
        if principal is None:
            error = _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer token.")
            return replace(error, headers={"WWW-Authenticate": self.challenge()})
        if self.script:
            canned = self.script.pop(0)
            if canned.done:
                self._carry_out(request, principal)
            return canned
        return self._carry_out(request, principal)

    def _principal(self, header: str) -> str | None:
        scheme, _, token = header.partition(" ")
        return self.tokens.get(token) if scheme == "Bearer" else None

    def _token(self, request: Seen) -> Canned:
        if (request.method, request.target) != ("POST", f"/{TENANT}/oauth2/v2.0/token"):
            return _error(404, "NotFound", "no such place")
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        known = self.clients.get((form["client_id"], form["client_secret"]))
        assert form["grant_type"] == "client_credentials"
        assert form["scope"] == f"{self.authority}/.default"
        if known is None:
            told = {"error": "invalid_client", "error_description": "AADSTS7000215: wrong"}
            return Canned(401, {}, json.dumps(told).encode())
        given = {"token_type": "Bearer", "access_token": known, "expires_in": self.lifetime}
        return Canned(200, {}, json.dumps(given).encode())

    def _carry_out(self, request: Seen, principal: str) -> Canned:
        caller = Caller(
            principal=principal,
            auth="bearer",
            agent=request.headers["User-Agent"],
            request=request.headers["x-ms-client-request-id"],
        )
        if self.is_ours:
            return self._as_ours(request, caller)
        url = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if query.get("api-version") not in VERSIONS:
            return _error(400, "BadParameter", "api-version must be specified")
        command = _command(request, url.path.strip("/").split("/"), query)
        if command is None:
            return _error(405, "MethodNotAllowed", "no such operation")
        try:
            answer: Any = self.vault.handle(caller, command)
        except refusals.BadParameter as error:
            return _error(400, "BadParameter", error.message)
        except tuple(_ERRORS) as error:
            status, code, inner = _ERRORS[type(error)]
            return _error(status, code, str(error), inner)
        return self._rendered(command, answer, url.path, query)

    def _as_ours(self, request: Seen, caller: Caller) -> Canned:
        path, _, query = request.target.partition("?")
        headers = tuple((name.lower(), value) for name, value in request.headers.items())
        came = Request(request.method, path, query, headers, request.body)
        skip = Skiptokens(b"k" * 32)
        try:
            plan = keyvault.plan(came, f"https://{request.host}", skip)
        except Problem as problem:
            response = problem.response()
            return Canned(response.status, dict(response.headers), response.body)
        try:
            # As the service does: an id may stand with other requests of the client too.
            client = structs.replace(caller, shared=True)
            response = plan.render(self.vault.handle(client, plan.command))
        except MunimentError as error:
            response = plan.problem_of(error, caller.principal, self.vault.name).response()
        return Canned(response.status, dict(response.headers), response.body)

    def _rendered(
        self, command: commands.Command[Any], answer: Any, path: str, query: dict[str, str]
    ) -> Canned:
        match command:
            case commands.PurgeDeletedSecret():
                return Canned(204)
            case commands.BackupSecret():
                text = base64.urlsafe_b64encode(answer.blob).rstrip(b"=").decode()
                return _json({"value": text})
            case commands.ListSecrets() | commands.ListDeletedSecrets():
                last = answer[-1].name if answer else ""
                return self._page([self._shape(one, "") for one in answer], last, path, query)
            case commands.ListSecretVersions():
                last = answer[-1].version if answer else ""
                items = [self._shape(one, one.version) for one in answer]
                return self._page(items, last, path, query)
            case _:
                return _json(self._shape(answer, answer.version))

    def _page(self, items: list[Any], last: str, path: str, query: dict[str, str]) -> Canned:
        size = int(query["maxresults"])
        link = None
        if len(items) == size:
            link = f"{self.url}{path}?api-version={query['api-version']}&$skiptoken={last}"
            link += f"&maxresults={size}"
        return _json({"value": items, "nextLink": link})

    def _shape(self, answer: SecretBundle, version: str) -> dict[str, Any]:
        shape: dict[str, Any] = {}
        if answer.deletion is not None:
            shape["recoveryId"] = f"{self.url}/deletedsecrets/{answer.name}"
            shape["deletedDate"] = answer.deletion.deleted_date
            shape["scheduledPurgeDate"] = answer.deletion.scheduled_purge_date
        told = msgspec.to_builtins(answer.attributes)
        attributes = {
            "enabled": told["enabled"],
            "nbf": told["nbf"],
            "exp": told["exp"],
            "created": told["created"],
            "updated": told["updated"],
            "recoveryLevel": told["recovery_level"],
            "recoverableDays": told["recoverable_days"],
        }
        tail = f"/{version}" if version else ""
        shape |= {
            "value": answer.value,
            "contentType": answer.content_type,
            "id": f"{self.url}/secrets/{answer.name}{tail}",
            "attributes": {k: v for k, v in attributes.items() if v is not None},
            "tags": answer.tags,
        }
        return {name: value for name, value in shape.items() if value is not None}


def _command(
    request: Seen, parts: list[str], query: dict[str, str]
) -> commands.Command[Any] | None:
    body = json.loads(request.body) if request.body else {}
    told = body.get("attributes", {})
    known = {name: told[name] for name in ("enabled", "nbf", "exp") if name in told}
    known |= {"content_type": body["contentType"]} if "contentType" in body else {}
    known |= {"tags": body["tags"]} if "tags" in body else {}
    page: dict[str, Any] = {
        "after": query.get("$skiptoken", ""),
        "limit": int(query.get("maxresults", "25")),
    }
    assert page["limit"] <= 25
    match (request.method, *parts):
        case ("GET", "secrets"):
            return commands.ListSecrets(**page)
        case ("GET", "deletedsecrets"):
            return commands.ListDeletedSecrets(**page)
        case ("GET", "secrets", name, "versions"):
            return commands.ListSecretVersions(name=name, **page)
        case ("POST", "secrets", "restore"):
            blob = base64.urlsafe_b64decode(body["value"] + "==")
            return commands.RestoreSecret(blob=blob)
        case ("POST", "secrets", name, "backup"):
            return commands.BackupSecret(name=name)
        case ("PUT", "secrets", name):
            return commands.SetSecret(name=name, value=body["value"], **known)
        case ("PATCH", "secrets", name, *version):
            return commands.UpdateSecret(name=name, version="".join(version), **known)
        case ("GET", "secrets", name, *version):
            return commands.GetSecret(name=name, version="".join(version))
        case ("DELETE", "secrets", name):
            return commands.DeleteSecret(name=name)
        case ("GET", "deletedsecrets", name):
            return commands.GetDeletedSecret(name=name)
        case ("POST", "deletedsecrets", name, "recover"):
            return commands.RecoverDeletedSecret(name=name)
        case ("DELETE", "deletedsecrets", name):
            return commands.PurgeDeletedSecret(name=name)
        case _:
            return None


def _json(value: object) -> Canned:
    return Canned(200, {}, json.dumps(value).encode())


def _error(status: int, code: str, message: str, inner: str = "") -> Canned:
    told: dict[str, Any] = {"code": code, "message": message}
    if inner:
        told["innererror"] = {"code": inner}
    return Canned(status, {}, json.dumps({"error": told}).encode())


# --- the socket -----------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, keyvault: KeyVault, context: ssl.SSLContext) -> None:
        self.keyvault = keyvault
        self.context = context
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us, or was hung up on, is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        seen = Seen(self.headers["Host"], self.command, self.path, dict(self.headers), body)
        answer = self.server.keyvault.answer(seen)
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _certificates(directory: Path, ca: Path, domain: str) -> Path:
    """Write an authority's certificate to *ca*; give a file with a leaf for *domain* and its key."""
    certificates.init(directory / "tls", domain, datetime.now(UTC))
    ca.write_bytes((directory / "tls" / "ca.pem").read_bytes())
    return directory / "tls" / "server.pem"
