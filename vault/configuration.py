"""What a store says of itself in `store.json`, and where its root key is.

The root key lies beside the store, in `<home>.key`, so that a copy of the store is not a copy of the
key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from eventstore.errors import FormatUnknown, StoreLocked
from eventstore.rootkey import FileRootKey, PassphraseRootKey, RootKey
from vault.refusals import StoreNotFound

FORMAT = 1

Passphrase = Callable[[], bytes]

_STORE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `store.json` holds.  An empty *root* is the default place, beside the store.

    *instance* tells a store that was made of a copy from its original, which has the same ids.
    """

    format: int
    store_id: str
    provider: str
    root: str = ""
    instance: str = ""


def read_configuration(home: Path) -> Configuration:
    """Read `store.json`.  Raise StoreNotFound or FormatUnknown."""
    try:
        text = (home / "store.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFound(f"there is no store in {home}") from None
    try:
        read = msgspec.json.decode(text, type=Configuration)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FormatUnknown(f"{home / 'store.json'} is not of a form that is known") from None
    if read.format != FORMAT or read.provider not in ("file", "passphrase"):
        raise FormatUnknown(f"{home / 'store.json'}: format {read.format}, {read.provider!r}")
    ids = (read.store_id, read.instance or read.store_id)
    if not all(map(_STORE_ID.fullmatch, ids)) or "\0" in read.root:
        raise FormatUnknown(f"{home / 'store.json'} names no store, or no place for a root key")
    return read


def default_root_directory(home: Path) -> Path:
    """Beside the store, never inside it."""
    home = home.absolute()
    return home.with_name(home.name + ".key")


def root_key_of(provider: str, directory: Path, passphrase: Passphrase | None) -> RootKey:
    if provider == "file":
        return FileRootKey(directory)
    if passphrase is None:
        raise StoreLocked
    return PassphraseRootKey(directory, passphrase())


def root_directory_of(home: Path, configuration: Configuration) -> Path:
    """Where the root key's slots are."""
    return Path(configuration.root) if configuration.root else default_root_directory(home)
