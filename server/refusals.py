"""Why a request cannot be read.  Recorded in `access` like every refusal of the vault.  Pure.

Each is authorized first (`vault.commands.Malformed`), so that somebody who may do nothing learns
nothing of what a good request looks like.  No message quotes a body.
"""

from __future__ import annotations

from vault.refusals import BadParameter


class ApiVersionMissing(BadParameter):
    """The request names no api-version."""

    code = "api-version.missing"


class ApiVersionUnknown(BadParameter):
    """The specified api-version is not recognized."""

    code = "api-version.unknown"


class QueryMalformed(BadParameter):
    """A parameter of the request's query is not valid."""

    code = "query.malformed"


class SkipTokenInvalid(QueryMalformed):
    """The $skiptoken was not issued by this vault for this list."""

    code = "skiptoken.invalid"


class BodyMalformed(BadParameter):
    """The request's body is not the JSON object that the operation takes."""

    code = "body.malformed"
