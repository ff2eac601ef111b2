"""Key Vault's data plane for secrets: from a request to a command, and from its answer back.  Pure.

A request that names an operation but cannot be read becomes a `Malformed` command, because who may
not do the thing at all must be told that first (403 before 400), and because every refusal is
recorded.  Only an unknown path or method has no command: it is nobody's operation.

Names and versions are not judged here but by the vault, after it has authorized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from msgspec import UNSET, UnsetType

from server import bodies, bundles
from server.bundles import Form
from server.http import Request, Response, json_response
from server.problems import LOCATION, Problem, problem_of
from server.query import (
    API_VERSION,
    MAX_RESULTS,
    OUT_CONTENT_TYPE,
    SKIP_TOKEN,
    page_size,
    parameters,
)
from server.refusals import QueryMalformed
from server.routes import Found, find, method_of
from server.skiptoken import Place, Skiptokens
from server.versions import shows
from vault.access import NEEDS
from vault.answers import Backup, SecretBundle
from vault.commands import (
    BackupSecret,
    Command,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    Malformed,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)
from vault.refusals import BadParameter

__all__ = ["Plan", "common_headers", "largest_body", "plan", "problem_of"]

SERVICE_VERSION = "1.0.0"
"""Of this edge's contract, not of the release: a client need not know which one it talks to."""

T = TypeVar("T")


class Plan(NamedTuple):
    """What a request asks, and how the answer to it is written.

    *operation* is the AuditEvent name.
    """

    command: Command[Any]
    render: Callable[[Any], Response]
    operation: str

    def problem_of(self, error: BaseException, caller_text: str, vault: str) -> Problem:
        """What *error* is, told in the words of this request."""
        command = self.command
        kind = command.kind if isinstance(command, Malformed) else type(command)
        return problem_of(
            error,
            caller_text,
            vault,
            name=getattr(command, "name", ""),
            version=getattr(command, "version", ""),
            permission=NEEDS.get(kind, ""),
        )


class _Asked(NamedTuple):
    """A request, taken apart."""

    found: Found
    query: Mapping[str, str]
    body: bytes
    base: str
    skip: Skiptokens

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def version(self) -> str:
        return self.found.version

    @property
    def place(self) -> Place:
        return Place(_with_port(self.base), self.found.route.operation, self.found.name)


def plan(request: Request, base: str, skip: Skiptokens) -> Plan:
    """What *request* asks of the vault at *base*, `https://HOST[:PORT]`.

    Raise a Problem if no operation has its path and method.
    """
    found = find(method_of(request), request.path)
    try:
        return _read(request, base, skip, found)
    except BadParameter as wrong:
        # Without its traceback, whose frames hold the body.
        problem = wrong.with_traceback(None)
    command = Malformed(kind=found.route.kind, name=found.name, problem=problem)
    return Plan(command, _never, found.route.operation)


def _read(request: Request, base: str, skip: Skiptokens, found: Found) -> Plan:
    route = found.route
    query = parameters(request.query)
    form = Form(base, shows(query.get(API_VERSION, "")).recoverable_days)
    asked = _Asked(found, query, request.body, base, skip)
    command = _READERS[route.kind](asked)
    return Plan(command, _WRITERS.get(route.kind, _write_secret)(form, asked), route.operation)


def _never(_: Any) -> Response:
    raise TypeError("a malformed request has no answer")


# --- from a request to a command ------------------------------------------------------------------


def _set(asked: _Asked) -> SetSecret:
    body = bodies.read_set(asked.body)
    given = bodies.attributes_of(body)
    return SetSecret(
        name=asked.name,
        value=body.value,
        content_type=_none(body.content_type),
        tags=_none(body.tags),
        enabled=given.enabled is not False,
        nbf=_none(given.nbf),
        exp=_none(given.exp),
    )


def _none(given: T | None | UnsetType) -> T | None:
    """What was *given*; in a set an absent member is as null."""
    return None if isinstance(given, UnsetType) else given


def _get(asked: _Asked) -> GetSecret:
    if asked.query.get(OUT_CONTENT_TYPE):
        # Only certificates have forms to choose from, and there are none here.
        raise QueryMalformed("outContentType is not supported: this secret is not a certificate")
    return GetSecret(name=asked.name, version=asked.version)


def _update(asked: _Asked) -> UpdateSecret:
    body = bodies.read_update(asked.body)
    given = bodies.attributes_of(body)
    return UpdateSecret(
        name=asked.name,
        version=asked.version,
        content_type=body.content_type,
        tags=body.tags,
        enabled=UNSET if given.enabled is None else given.enabled,
        nbf=given.nbf,
        exp=given.exp,
    )


def _after(asked: _Asked) -> str:
    token = asked.query.get(SKIP_TOKEN)
    return "" if token is None else asked.skip.read(asked.place, token)


def _list(asked: _Asked) -> ListSecrets:
    return ListSecrets(limit=page_size(asked.query), after=_after(asked))


def _list_deleted(asked: _Asked) -> ListDeletedSecrets:
    return ListDeletedSecrets(limit=page_size(asked.query), after=_after(asked))


def _list_versions(asked: _Asked) -> ListSecretVersions:
    return ListSecretVersions(name=asked.name, limit=page_size(asked.query), after=_after(asked))


_READERS: dict[type[Command[Any]], Callable[[_Asked], Command[Any]]] = {
    SetSecret: _set,
    GetSecret: _get,
    UpdateSecret: _update,
    DeleteSecret: lambda asked: DeleteSecret(name=asked.name),
    ListSecrets: _list,
    ListSecretVersions: _list_versions,
    ListDeletedSecrets: _list_deleted,
    GetDeletedSecret: lambda asked: GetDeletedSecret(name=asked.name),
    RecoverDeletedSecret: lambda asked: RecoverDeletedSecret(name=asked.name),
    PurgeDeletedSecret: lambda asked: PurgeDeletedSecret(name=asked.name),
    BackupSecret: lambda asked: BackupSecret(name=asked.name),
    RestoreSecret: lambda asked: RestoreSecret(blob=bodies.read_blob(asked.body)),
}


# --- from an answer to a response -----------------------------------------------------------------

_Writer = Callable[[Any], Response]


def _write_secret(form: Form, _: _Asked) -> _Writer:
    def write(answer: SecretBundle) -> Response:
        return json_response(200, bundles.secret(form, answer))

    return write


def _write_nothing(*_: object) -> _Writer:
    return lambda _: Response(204)


def _write_backup(*_: object) -> _Writer:
    def write(answer: Backup) -> Response:
        return json_response(200, bundles.backup(answer))

    return write


def _write_page(form: Form, asked: _Asked) -> _Writer:
    versioned = asked.found.route.kind is ListSecretVersions

    def write(answer: list[SecretBundle]) -> Response:
        following = None
        # A full page may have been the last one: the next is empty then, as Key Vault's can be.
        if len(answer) == page_size(asked.query):
            following = _next_link(asked, answer[-1].version if versioned else answer[-1].name)
        items = [bundles.secret(form, item, versioned=versioned) for item in answer]
        return json_response(200, bundles.page(items, following))

    return write


def _next_link(asked: _Asked, last: str) -> str:
    """The address of the page after *last*, with its port, as Key Vault writes it."""
    place = asked.place
    path = asked.found.route.path.replace("{name}", quote(asked.name, safe=""))
    return (
        f"{place.authority}{path}?{API_VERSION}={asked.query[API_VERSION]}"
        f"&{SKIP_TOKEN}={asked.skip.issue(place, last)}"
        f"&{MAX_RESULTS}={page_size(asked.query)}"
    )


_WRITERS: dict[type[Command[Any]], Callable[[Form, _Asked], _Writer]] = {
    ListSecrets: _write_page,
    ListSecretVersions: _write_page,
    ListDeletedSecrets: _write_page,
    PurgeDeletedSecret: _write_nothing,
    BackupSecret: _write_backup,
}
"""How an answer is written; what is not here answers with a secret."""


def _with_port(base: str) -> str:
    """*base* with its port told."""
    scheme, _, host = base.partition("://")
    if ":" in host.rpartition("]")[2]:
        return base
    return f"{base}:{443 if scheme == 'https' else 80}"


# --- what every answer says -----------------------------------------------------------------------

_ALWAYS = (
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    ("Expires", "-1"),
    ("Strict-Transport-Security", "max-age=31536000;includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("x-ms-keyvault-region", LOCATION),
    ("x-ms-keyvault-service-version", SERVICE_VERSION),
)


def common_headers(request: Request, request_id: str = "") -> tuple[tuple[str, str], ...]:
    """The headers of every answer to *request*, which the server knows as *request_id*."""
    headers = list(_ALWAYS)
    if request_id:
        headers.append(("x-ms-request-id", request_id))
    given = request.header("x-ms-client-request-id")
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        headers.append(("x-ms-client-request-id", given))
    if request.peer:
        headers.append(("x-ms-keyvault-network-info", _network(request.peer)))
    return tuple(headers)


def _network(peer: str) -> str:
    six = ":" in peer
    family = "InterNetworkV6" if six else "InterNetwork"
    return f"conn_type={'Ipv6' if six else 'Ipv4'};addr={peer};act_addr_fam={family};"


def largest_body(request: Request) -> int:
    """How many bytes the body of *request* may have: a blob more than all else."""
    if request.method == "POST" and request.path.lower().strip("/") == "secrets/restore":
        return bodies.LARGEST_BLOB
    return bodies.LARGEST
