"""Lists without values: `secret list`, `list-versions`, `list-deleted`."""

from __future__ import annotations

from cli import shapes
from cli.as_of import as_of_option
from cli.command import command, limit_option
from cli.reference import Reference
from cli.secret_options import secret_argument
from cli.session import Session
from cli.tables import DELETED, WHOLE, Column

_SECRETS = [
    Column("NAME", "name"),
    Column("ENABLED", "enabled"),
    Column("CONTENT TYPE", "contentType"),
    Column("EXPIRES", "expires"),
    Column("UPDATED", "updated"),
    Column("TAGS", "tags"),
]
_VERSIONS = [
    Column("VERSION", "version", WHOLE),
    Column("ENABLED", "enabled"),
    Column("CONTENT TYPE", "contentType"),
    Column("CREATED", "created"),
    Column("EXPIRES", "expires"),
    Column("TAGS", "tags"),
]
_NOTE = Column("NOTE", "_closed")
_CLOSED = ("contentType", "tags", _NOTE.key)


@command("list", remote=True)
@limit_option
@as_of_option
def list_secrets(session: Session, maxresults: int | None, as_of: str | None) -> None:
    """List the secrets, without values.

    Each is shown with the attributes of its newest version.  With --as-of, what was purged since is
    shown with the event that erased it.
    """
    from vault.commands import ListSecrets

    vault, answers = session.ask(ListSecrets(limit=maxresults), as_of=as_of)
    _emit(session, [shapes.item(vault, answer) for answer in answers], _SECRETS)


@command("list-versions", remote=True)
@secret_argument(versions=False)
@limit_option
@as_of_option
def list_versions(
    session: Session, secret: Reference, maxresults: int | None, as_of: str | None
) -> None:
    """List the versions of a secret.

    They are in the order of their ids, as in Key Vault; `created` says which is newest.
    """
    from vault.commands import ListSecretVersions

    asked = ListSecretVersions(name=secret.name, limit=maxresults)
    vault, answers = session.ask(asked, secret.vault, as_of=as_of)
    _emit(session, [shapes.item(vault, answer, versioned=True) for answer in answers], _VERSIONS)


@command("list-deleted", remote=True)
@limit_option
@as_of_option
def list_deleted(session: Session, maxresults: int | None, as_of: str | None) -> None:
    """List the deleted secrets.

    They can be recovered until the date that is shown.
    """
    from vault.commands import ListDeletedSecrets

    vault, answers = session.ask(ListDeletedSecrets(limit=maxresults), as_of=as_of)
    _emit(session, [shapes.item(vault, answer) for answer in answers], DELETED)


def _emit(session: Session, items: list[shapes.Shape], columns: list[Column]) -> None:
    if session.output.for_people and not session.output.has_query:
        items = [_row(item) for item in items]
        if columns is DELETED and any(_NOTE.key in item for item in items):
            columns = [*columns, _NOTE]
    session.output.emit(items, columns)


def _row(item: shapes.Shape) -> shapes.Shape:
    closed: shapes.Shape = {}
    if "erasedBy" in item:
        closed = dict.fromkeys(_CLOSED, shapes.erased_by(item["erasedBy"]))
    version = item["id"].rpartition("/")[2]
    return {**item, **item["attributes"], "version": version, **closed}
