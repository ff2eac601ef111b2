"""From what a file holds to what a vault is asked: names, collisions, limits, commits.  Pure.

Everything is checked before anything is asked, so that a file is imported whole or not at all.  A
name has hyphens where a variable has underscores; two keys that meet in one name are an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.import_formats import Failed, Item
from cli.problems import ImportMalformed, ImportTooLarge
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from vault.commands import SetSecret

COMMIT_ITEMS: Final = 5_000
COMMIT_BYTES: Final = 64 * 1024 * 1024


class Planned(NamedTuple):
    """An item of the file and what will be asked for it."""

    where: str
    asked: SetSecret

    @property
    def size(self) -> int:
        return len(self.asked.value.encode())


def plan(items: Sequence[Item | Failed], prefix: str) -> tuple[list[Planned], list[Failed]]:
    """What to ask for *items*, and what is wrong with some of them."""
    planned: list[Planned] = []
    failed: list[Failed] = []
    seen: dict[str, str] = {}
    for item in items:
        if isinstance(item, Failed):
            failed.append(item)
            continue
        try:
            one = _planned(item, prefix)
            _refuse_collision(seen, one)
        except MunimentError as error:
            failed.append(Failed(item.where, error))
        else:
            planned.append(one)
    return planned, failed


def secret_name(key: str, prefix: str = "") -> str:
    return prefix + key.replace("_", "-")


def commits(planned: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Split into parts of which each fits into one commit."""
    part: list[Planned] = []
    size = 0
    for one in planned:
        if part and (len(part) == COMMIT_ITEMS or size + one.size > COMMIT_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += one.size
    if part:
        yield part


def check_fits(planned: Sequence[Planned]) -> None:
    """Raise ImportTooLarge if one commit cannot hold all of *planned*."""
    size = sum(one.size for one in planned)
    if len(planned) > COMMIT_ITEMS or size > COMMIT_BYTES:
        raise ImportTooLarge(
            f"the file has {len(planned):,} secrets with {size:,} bytes; one commit holds "
            f"{COMMIT_ITEMS:,} with {COMMIT_BYTES:,}"
        )


def located(failed: Failed) -> MunimentError:
    """The error with the place in the file in front; its code stays."""
    if failed.error.message.startswith(failed.where):
        return failed.error
    return type(failed.error)(f"{failed.where}: {failed.error.message}")


def _planned(item: Item, prefix: str) -> Planned:
    from vault.commands import SetSecret
    from vault.names import check_set

    asked = SetSecret(
        name=secret_name(item.name, prefix),
        value=item.value,
        content_type=item.content_type,
        tags=item.tags,
        enabled=item.enabled,
        nbf=item.nbf,
        exp=item.exp,
    )
    check_set(asked)
    return Planned(item.where, asked)


def _refuse_collision(seen: dict[str, str], one: Planned) -> None:
    from vault.names import folded

    name = folded(one.asked.name)
    if name in seen:
        raise ImportMalformed(
            f"{one.where}: the name {one.asked.name} is that of {seen[name]} already"
        )
    seen[name] = one.where
