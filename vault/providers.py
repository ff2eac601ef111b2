"""Who makes a storage account's keys: what a vault asks of it, and which one an account belongs to.  Pure.

A provider is declared by whoever runs the store, never by an administrator of a vault over the
network, since some of them run commands.  Each stands for the resources whose ids begin with its
prefix; of two that fit, the longer one counts.  One that is for named vaults answers no other: without
that, who administers one vault could have it manage the accounts of his neighbour's.  Keys are by
name, each base64 of 64 bytes.

A provider is asked outside of any transaction, and may be asked twice for the same thing.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from vault.refusals import ProviderMissing, ProviderUnavailable

KEY_SIZE: Final = 64
MAX_KEYS: Final = 16
_KEY_NAME = re.compile(r"[0-9a-zA-Z._-]{1,64}", re.ASCII)


class StorageProvider(Protocol):
    """Makes the keys of storage accounts, and tells them.

    Each method raises ProviderRefused if it did nothing and would not the next time, and
    ProviderUnavailable if it cannot be reached or if it is not known what it did.
    """

    def list_keys(self, resource_id: str) -> dict[str, str]:
        """The account's keys as they are, by name."""
        ...

    def regenerate_key(self, resource_id: str, key_name: str) -> dict[str, str]:
        """Give the key of that name a new value; all keys as they are then."""
        ...

    def account_name(self, resource_id: str) -> str:
        """The account's own name, which its tokens are signed for."""
        ...


class Declared(NamedTuple):
    """A provider, and the beginning of the ids of the resources that it is for.

    A prefix is a whole id, or whole segments of one; an empty one is every resource's.  So are no
    *vaults* every vault.
    """

    name: str
    prefix: str
    provider: StorageProvider
    vaults: tuple[str, ...] = ()


class Providers:
    """All providers that are declared."""

    def __init__(self, declared: Iterable[Declared] = ()) -> None:
        # The longest prefix first: the first that fits is the one.
        self._declared = sorted(declared, key=lambda one: len(one.prefix), reverse=True)

    def of(self, resource_id: str, vault: str) -> StorageProvider:
        """The provider of that resource, for that vault.  Raise ProviderMissing.

        The case of an id or a name does not count.  A longer prefix that is for other vaults hides
        a shorter one: what is theirs is not reached by the way of everybody's.
        """
        for one in self._declared:
            if _begins_with(resource_id.lower(), one.prefix.lower().rstrip("/")):
                if one.vaults and vault.lower() not in map(str.lower, one.vaults):
                    break  # told as one that is not there: whose it is is not his business
                return one.provider
        raise ProviderMissing(f"no provider is declared for {resource_id[:256]!r}")


def _begins_with(resource_id: str, prefix: str) -> bool:
    # By segments: what is declared for the account `shop` is nothing to the account `shop2`.
    return not prefix or resource_id == prefix or resource_id.startswith(prefix + "/")


def last_segment(resource_id: str) -> str:
    """The name at the end of a resource's id, in lower case as all accounts' names are."""
    return resource_id.rstrip("/").rpartition("/")[2].lower()


def checked(keys: dict[str, str]) -> dict[str, str]:
    """*keys* if they can be used.  Raise ProviderUnavailable.  No message quotes a value."""
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ProviderUnavailable("the provider gave no keys, or too many")
    for name, value in keys.items():
        if not _KEY_NAME.fullmatch(name) or not _is_key(value):
            raise ProviderUnavailable("the provider gave a key that is not base64 of 64 bytes")
    return dict(keys)


def _is_key(value: str) -> bool:
    try:
        return len(b64decode(value, validate=True)) == KEY_SIZE
    except (binascii.Error, ValueError):
        return False
