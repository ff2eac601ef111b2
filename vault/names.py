"""What a name, a version, a value and an attribute may be: Key Vault's documented limits.  Pure.

Identifiers are case-insensitive; a name is echoed as it was first created.  Source: "About keys,
secrets and certificates", "About Azure Key Vault secrets".  No message here quotes a value.
"""

from __future__ import annotations

import re

from vault.caller import Caller
from vault.commands import SetSecret, UpdateSecret
from vault.refusals import (
    AttributesInvalid,
    BadParameter,
    ContentTypeTooLong,
    NameInvalid,
    PrincipalInvalid,
    RetentionInvalid,
    TagsInvalid,
    ValueTooLarge,
    VaultNameInvalid,
    VersionInvalid,
)

MAX_VALUE_BYTES = 25_600
MAX_CONTENT_TYPE = 255
MAX_TAGS = 15
MAX_TAG_NAME = MAX_TAG_VALUE = 256
RETENTION_DAYS = range(7, 91)
MAX_CALLER_TEXT = 1024
MAX_VAULT_NAME = 24
MAX_LABEL = 256
MAX_DATE = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that RFC 3339 can write."""

_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)
_VERSION = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_VAULT_NAME = re.compile(r"[a-zA-Z](?:-?[0-9a-zA-Z])*", re.ASCII)


def folded(name: str) -> str:
    """The form under which a name is stored and sorted."""
    return name.upper()


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NameInvalid(f"the name {name[:140]!r} is not 1 to 127 letters, digits and hyphens")


def check_version(version: str) -> str:
    """Give *version* in the form it is stored in."""
    if not _VERSION.fullmatch(version):
        raise VersionInvalid(f"the version {version[:40]!r} is not 32 hexadecimal digits")
    return version.lower()


def check_vault_name(name: str) -> None:
    if not (3 <= len(name) <= MAX_VAULT_NAME and _VAULT_NAME.fullmatch(name)):
        raise VaultNameInvalid(
            f"the vault name {name[:40]!r} is not 3 to 24 letters, digits and single hyphens, "
            "a letter first"
        )


def check_principal(principal: str) -> None:
    if not (1 <= len(principal) <= 256 and principal.isprintable() and is_text(principal)):
        raise PrincipalInvalid


def check_caller(caller: Caller) -> None:
    """Who asks must be writable in a record."""
    check_principal(caller.principal)
    check_told(caller.auth, caller.address, caller.agent, caller.request, caller.application)


def check_told(*texts: str) -> None:
    """What is told of a caller must be writable in a record."""
    for text in texts:
        if len(text) > MAX_CALLER_TEXT or not is_text(text):
            raise PrincipalInvalid("what is told of the caller is too long, or is not text")


def check_asked(*texts: str) -> None:
    """Names and principals of the past that are asked for, whatever was allowed then, were text."""
    for text in texts:
        if not is_text(text):
            raise BadParameter("what is asked for is not text that UTF-8 can write")


def check_label(label: str) -> None:
    """What an administrator calls a thing, for people to read."""
    if len(label) > MAX_LABEL or not (label.isprintable() and is_text(label)):
        raise BadParameter(f"a label has at most {MAX_LABEL} printable characters")


def check_retention(days: int) -> None:
    if days not in RETENTION_DAYS:
        raise RetentionInvalid(f"deleted secrets are kept 7 to 90 days, not {days}")


def check_set(command: SetSecret) -> None:
    """Raise the first thing that is wrong with *command*."""
    check_name(command.name)
    check_value(command.value)
    check_content_type(command.content_type)
    check_tags(command.tags)
    check_date("nbf", command.nbf)
    check_date("exp", command.exp)


def check_update(command: UpdateSecret) -> None:
    """Raise the first thing that is wrong with *command*."""
    check_name(command.name)
    if isinstance(command.content_type, str):
        check_content_type(command.content_type)
    if isinstance(command.tags, dict):
        check_tags(command.tags)
    for name, date in (("nbf", command.nbf), ("exp", command.exp)):
        if isinstance(date, int):
            check_date(name, date)


def check_value(value: str) -> None:
    if not is_text(value):
        raise ValueTooLarge("the value is not text that UTF-8 can write")
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        raise ValueTooLarge(f"the value has {size:,} bytes; the limit is {MAX_VALUE_BYTES:,}")


def check_content_type(content_type: str | None) -> None:
    if content_type is None:
        return
    if len(content_type) > MAX_CONTENT_TYPE or not is_text(content_type):
        raise ContentTypeTooLong(
            f"the content type has {len(content_type)} characters; the limit is {MAX_CONTENT_TYPE}"
        )


def check_tags(tags: dict[str, str] | None) -> None:
    if not tags:
        return
    if len(tags) > MAX_TAGS:
        raise TagsInvalid(f"{len(tags)} tags were given; the limit is {MAX_TAGS}")
    for name, value in tags.items():
        if not 1 <= len(name) <= MAX_TAG_NAME or not is_text(name):
            raise TagsInvalid(f"a tag name has 1 to {MAX_TAG_NAME} characters")
        if len(value) > MAX_TAG_VALUE or not is_text(value):
            raise TagsInvalid(f"a tag value has at most {MAX_TAG_VALUE} characters")


def check_date(name: str, date: int | None) -> None:
    if date is not None and not 0 <= date <= MAX_DATE:
        raise AttributesInvalid(f"{name} is not a time between 1970 and 9999, in seconds")


def is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
