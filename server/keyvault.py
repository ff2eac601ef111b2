"""Key Vault's data plane for secrets: from a request to a command, and from its answer back.  Pure.

A request that names an operation but cannot be read becomes a `Malformed` command, because who may
not do the thing at all must be told that first (403 before 400), and because every refusal is
recorded.  Only an unknown path or method has no command: it is nobody's operation.

Names and versions are not judged here but by the vault, after it has authorized.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from msgspec import UNSET

from server import bodies, bundles, storage_plane
from server.asked import Asked, Writer, after, none, write_backup, write_nothing, write_page
from server.bundles import Form
from server.http import Request, Response, json_response
from server.problems import Problem, problem_of
from server.query import (
    API_VERSION,
    OUT_CONTENT_TYPE,
    page_size,
    parameters,
)
from server.refusals import QueryMalformed
from server.routes import Found, find, method_of
from server.skiptoken import Skiptokens
from server.versions import shows
from vault.access import permission_of
from vault.answers import SecretBundle
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
    kind_of,
)
from vault.refusals import BadParameter
from vault.resource_ids import LOCATION
from vault.storage_commands import RestoreStorageAccount

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
        return problem_of(
            error,
            caller_text,
            vault,
            name=getattr(command, "name", ""),
            version=getattr(command, "version", ""),
            permission=permission_of(kind_of(command)),
        )


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
    version = query.get(API_VERSION, "")
    form = Form(base, shows(version, storage=route.storage).recoverable_days)
    asked = Asked(found, query, request.body, base, skip)
    command = _READERS[route.kind](asked)
    return Plan(command, _WRITERS.get(route.kind, _write_secret)(form, asked), route.operation)


def _never(_: Any) -> Response:
    raise TypeError("a malformed request has no answer")


# --- from a request to a command ------------------------------------------------------------------


def _set(asked: Asked) -> SetSecret:
    body = bodies.read_set(asked.body)
    given = bodies.attributes_of(body)
    return SetSecret(
        name=asked.name,
        value=body.value,
        content_type=none(body.content_type),
        tags=none(body.tags),
        enabled=given.enabled is not False,
        nbf=none(given.nbf),
        exp=none(given.exp),
    )


def _get(asked: Asked) -> GetSecret:
    if asked.query.get(OUT_CONTENT_TYPE):
        # Only certificates have forms to choose from, and there are none here.
        raise QueryMalformed("outContentType is not supported: this secret is not a certificate")
    return GetSecret(name=asked.name, version=asked.version)


def _update(asked: Asked) -> UpdateSecret:
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


def _list(asked: Asked) -> ListSecrets:
    return ListSecrets(limit=page_size(asked.query), after=after(asked))


def _list_deleted(asked: Asked) -> ListDeletedSecrets:
    return ListDeletedSecrets(limit=page_size(asked.query), after=after(asked))


def _list_versions(asked: Asked) -> ListSecretVersions:
    return ListSecretVersions(name=asked.name, limit=page_size(asked.query), after=after(asked))


_READERS: dict[type[Command[Any]], Callable[[Asked], Command[Any]]] = {
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
    **storage_plane.READERS,
}


# --- from an answer to a response -----------------------------------------------------------------


def _write_secret(form: Form, _: Asked) -> Writer:
    def write(answer: SecretBundle) -> Response:
        return json_response(200, bundles.secret(form, answer))

    return write


def _write_names(form: Form, asked: Asked) -> Writer:
    return write_page(
        asked, lambda one: one.name, lambda one: bundles.secret(form, one, versioned=False)
    )


def _write_versions(form: Form, asked: Asked) -> Writer:
    return write_page(asked, lambda one: one.version, lambda one: bundles.secret(form, one))


_WRITERS: dict[type[Command[Any]], Callable[[Form, Asked], Writer]] = {
    ListSecrets: _write_names,
    ListSecretVersions: _write_versions,
    ListDeletedSecrets: _write_names,
    PurgeDeletedSecret: write_nothing,
    BackupSecret: write_backup,
    **storage_plane.WRITERS,
}
"""How an answer is written; what is not here answers with a secret."""


# --- what every answer says -----------------------------------------------------------------------

_ALWAYS = (
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
    ("Expires", "-1"),
    ("Strict-Transport-Security", "max-age=31536000;includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("x-ms-keyvault-region", LOCATION),
    ("x-ms-keyvault-service-version", SERVICE_VERSION),
    # Without one granian writes its own: which program serves is nobody's business.
    ("Server", "Muniment"),
)


def common_headers(request: Request, request_id: str = "") -> tuple[tuple[str, str], ...]:
    """The headers of every answer to *request*, which the server knows as *request_id*."""
    headers = [*_ALWAYS, ("x-ms-request-id", request_id)] if request_id else list(_ALWAYS)
    given = request.header("x-ms-client-request-id")
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        headers.append(("x-ms-client-request-id", given))
    if request.peer:
        headers.append(("x-ms-keyvault-network-info", _network(request.peer)))
    return tuple(headers)


@lru_cache(maxsize=256)
def _network(peer: str) -> str:
    six = ":" in peer
    family = "InterNetworkV6" if six else "InterNetwork"
    return f"conn_type={'Ipv6' if six else 'Ipv4'};addr={peer};act_addr_fam={family};"


def largest_body(request: Request) -> int:
    """How many bytes the body of *request* may have: a blob more than all else."""
    return bodies.LARGEST if restore_in(request) is None else bodies.LARGEST_BLOB


def restore_in(request: Request) -> Command[Any] | None:
    """The restore that *request* is, without its blob; None if it is another request."""
    kind = _RESTORES.get(request.path.lower().strip("/")) if request.method == "POST" else None
    return None if kind is None else kind(blob=b"")


_RESTORES: dict[str, type[RestoreSecret | RestoreStorageAccount]] = {
    "secrets/restore": RestoreSecret,
    "storage/restore": RestoreStorageAccount,
}
