"""`secret set-attributes`: everything but the value."""

from __future__ import annotations

from cli import shapes
from cli.command import command
from cli.problems import Usage
from cli.reference import Reference
from cli.secret_options import CLEAR, Given, attribute_options, secret_argument
from cli.session import Session


@command("set-attributes", remote=True)
@secret_argument(versions=True)
@attribute_options
def set_attributes(session: Session, secret: Reference, beside: Given) -> None:
    """Change a version's attributes or tags.

    What is not named stays as it is; --expires none and --content-type none clear.
    """
    from msgspec import UNSET

    from vault.commands import UpdateSecret

    if all(given in (None, ()) for given in beside):
        raise Usage("say what to change: see --help")
    tags = beside.tag_map()
    asked = UpdateSecret(
        name=secret.name,
        version=secret.version,
        content_type=UNSET if beside.content_type is None else _text(beside.content_type),
        tags=UNSET if tags is None else (tags or None),
        enabled=UNSET if beside.is_enabled is None else beside.is_enabled,
        nbf=UNSET if beside.not_before is None else _date(beside, "not_before", session.now),
        exp=UNSET if beside.expires is None else _date(beside, "expires", session.now),
    )
    vault, answer = session.ask(asked, secret.vault)
    session.output.emit(shapes.item(vault, answer, versioned=True))


def _text(given: str) -> str | None:
    return None if given in CLEAR else given


def _date(beside: Given, name: str, now: int) -> int | None:
    return None if getattr(beside, name) in CLEAR else beside.date(name, now)
