"""Which operation a method and a path are.  Pure.

One table; the OpenAPI description is made from it as well.  Tolerated, as Key Vault does: further
slashes at the front (`//secrets/x` stands in Microsoft's own examples), one slash at the end, and any
case of the fixed words.  Nothing else is normalized: a `..` is a name, and no valid one.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from server.http import Request
from server.problems import Problem, method_not_allowed, nothing_here
from server.route import Route
from server.storage_routes import STORAGE_ROUTES
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ListDeletedSecrets,
    ListSecrets,
    ListSecretVersions,
    PurgeDeletedSecret,
    RecoverDeletedSecret,
    RestoreSecret,
    SetSecret,
    UpdateSecret,
)

_SECRET_ROUTES = (
    Route("GET", "/secrets", "SecretList", ListSecrets, "List secrets", gives="SecretList"),
    Route(
        "POST",
        "/secrets/restore",
        "SecretRestore",
        RestoreSecret,
        "Restore a backed up secret",
        takes="Blob",
    ),
    Route("PUT", "/secrets/{name}", "SecretSet", SetSecret, "Set a secret", takes="SetSecret"),
    Route("GET", "/secrets/{name}", "SecretGet", GetSecret, "Get the latest version"),
    Route(
        "PATCH",
        "/secrets/{name}",
        "SecretUpdate",
        UpdateSecret,
        "Update the latest version's attributes",
        takes="UpdateSecret",
    ),
    Route(
        "DELETE",
        "/secrets/{name}",
        "SecretDelete",
        DeleteSecret,
        "Delete a secret with all its versions",
        gives="DeletedSecretBundle",
    ),
    Route(
        "GET",
        "/secrets/{name}/versions",
        "SecretListVersions",
        ListSecretVersions,
        "List the versions of a secret",
        gives="SecretList",
    ),
    Route(
        "POST",
        "/secrets/{name}/backup",
        "SecretBackup",
        BackupSecret,
        "Back up a secret with all its versions",
        gives="Blob",
    ),
    Route("GET", "/secrets/{name}/{version}", "SecretGet", GetSecret, "Get a version"),
    Route(
        "PATCH",
        "/secrets/{name}/{version}",
        "SecretUpdate",
        UpdateSecret,
        "Update a version's attributes",
        takes="UpdateSecret",
    ),
    Route(
        "GET",
        "/deletedsecrets",
        "SecretListDeleted",
        ListDeletedSecrets,
        "List deleted secrets",
        gives="DeletedSecretList",
    ),
    Route(
        "GET",
        "/deletedsecrets/{name}",
        "SecretGetDeleted",
        GetDeletedSecret,
        "Get a deleted secret, without its value",
        gives="DeletedSecretBundle",
    ),
    Route(
        "DELETE",
        "/deletedsecrets/{name}",
        "SecretPurge",
        PurgeDeletedSecret,
        "Purge a deleted secret for ever",
        gives="",
    ),
    Route(
        "POST",
        "/deletedsecrets/{name}/recover",
        "SecretRecover",
        RecoverDeletedSecret,
        "Recover a deleted secret",
    ),
)


ROUTES = (*_SECRET_ROUTES, *STORAGE_ROUTES)


class Found(NamedTuple):
    """The operation of a request, and what its path names."""

    route: Route
    name: str
    version: str
    sas: str = ""


class _Shape(NamedTuple):
    """A path of the table: its fixed words by place, its operations by method, and its parts."""

    words: tuple[tuple[int, str], ...]
    routes: dict[str, Route]
    parts: list[str]

    def named(self, part: str, given: list[str]) -> str:
        """What stands in *given* where the path has *part*, or an empty text."""
        return given[self.parts.index(part)] if part in self.parts else ""


_NAMED = ("{name}", "{version}", "{sas}")


def find(method: str, path: str) -> Found:
    """The operation of *method* and *path*.  Raise a Problem, 404 or 405."""
    parts = path.lstrip("/").removesuffix("/").split("/")
    if "%" in path:
        parts = [unquote(part) for part in parts]
    allowed: set[str] = set()
    for shape in _SHAPES.get(len(parts), ()):
        if all(parts[at].lower() == word for at, word in shape.words):
            route = shape.routes.get(method)
            if route is not None:
                name, version, sas = (shape.named(part, parts) for part in _NAMED)
                return Found(route, name, version, sas)
            allowed.update(shape.routes)
    raise method_not_allowed(allowed) if allowed else nothing_here()


def method_of(request: Request) -> str:
    """The method, or what a POST says it stands for.  Raise a Problem, 400."""
    if request.method != "POST":
        return request.method
    stands_for = [*request.all("x-http-method"), *request.all("x-http-request")]
    if not stands_for:
        return "POST"
    if len(stands_for) > 1:
        raise Problem(400, "BadParameter", "X-HTTP-METHOD was given more than once.")
    return stands_for[0].upper()


def _shapes() -> dict[int, list[_Shape]]:
    """The paths of the table by their number of parts, those with most fixed words first."""
    shapes: dict[str, _Shape] = {}
    for route in ROUTES:
        parts = route.path[1:].split("/")
        words = tuple((at, part) for at, part in enumerate(parts) if not part.startswith("{"))
        shapes.setdefault(route.path, _Shape(words, {}, parts)).routes[route.method] = route
    by_length: dict[int, list[_Shape]] = {}
    for path, shape in sorted(shapes.items(), key=lambda item: -len(item[1].words)):
        by_length.setdefault(path.count("/"), []).append(shape)
    return by_length


_SHAPES = _shapes()
