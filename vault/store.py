"""A store: one directory with a keyring and any number of vaults, and a root key elsewhere.

Layout: `store.json` says the format and where the root key is; `keyring/` holds the key tree;
`vaults/<id>/changes` and `vaults/<id>/access` hold the logs.  A vault's directory is named by the id
of its `changes` log, since names are not readable at rest.  The root key lies beside the store, in
`<home>.key`, so that a copy of the store is not a copy of the key.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import msgspec

from eventstore import file_lock
from eventstore.durable import failing_disk, sync_directory, write_durably
from eventstore.errors import (
    KeyringNotFound,
    LogMisplaced,
    LogUnavailable,
    MunimentError,
    OutcomeUnknown,
    RootKeyMissing,
    StoreLocked,
)
from eventstore.keyring import Erasure, Keyring
from eventstore.keytree import FANOUT
from eventstore.rootkey import PassphraseRootKey, RootKey
from projections.rows import Settings
from vault import names
from vault.caller import Caller
from vault.configuration import (
    FORMAT,
    Configuration,
    Passphrase,
    default_root_directory,
    read_configuration,
    root_directory_of,
    root_key_of,
)
from vault.history_commands import CopyVault
from vault.lifecycle import is_deleted
from vault.refusals import (
    DeletedVaultNotFound,
    ErasurePending,
    StoreExists,
    StoreNotFound,
    VaultExists,
    VaultNotChosen,
    VaultNotFound,
)
from vault.rule_commands import NewVault
from vault.service import Vault
from vault.trace import store_owner

if TYPE_CHECKING:
    from projections.rebuild import Progress
    from vault.copying import Copied
    from vault.making import Making
    from vault.providers import Providers

NEW_VAULT: Final = NewVault()
IDENTITIES: Final = "identities"
"""What the service keeps in the store: sealed, and not looked into here."""

_BEGUN: Final = {"vaults", "keyring", "store.json.new", "store.lock", "lost+found"}
"""What stands in a directory whose store was begun and not ended."""


def _begun(home: Path, root: RootKey, entropy: Callable[[int], bytes]) -> Keyring | None:
    """The keyring of a store whose making was cut short; None if there is none to go on with.

    Only one that never gave out a key and that this very root key opens: it can be nobody else's.
    """
    try:
        keyring = Keyring.open(home / "keyring", root, entropy=entropy)
    except MunimentError:
        return None
    if keyring.unused:
        return keyring
    keyring.close()
    return None


def check_place(home: Path) -> None:
    """Raise StoreExists unless a store can be made in *home*, and nobody's files stand there.

    It may hold what a making left that was cut short, and what a file system puts into its root.
    """
    if (home / "store.json").exists():
        raise StoreExists(f"there is a store in {home} already")
    if home.exists() and not home.is_dir():
        raise StoreExists(f"{home} is a file")
    if home.is_dir() and not {entry.name for entry in home.iterdir()} <= _BEGUN:
        raise StoreExists(f"{home} is not empty, and a store has a directory of its own")


def system_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class Store:
    """A store, open in this process.  Use it as a context manager."""

    def __init__(
        self,
        home: Path,
        configuration: Configuration,
        keyring: Keyring,
        root: RootKey,
        *,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
        providers: Providers | None = None,
    ) -> None:
        """Use `create` or `open`."""
        self.home = home
        self.configuration = configuration
        self.keyring = keyring
        self._root = root
        self._clock = clock
        self._entropy = entropy
        self._providers = providers
        self._vaults: dict[str, Vault] = {}
        self._opening = threading.RLock()

    @property
    def store_id(self) -> bytes:
        return bytes.fromhex(self.configuration.store_id)

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        home: Path,
        *,
        provider: str = "file",
        root_directory: Path | None = None,
        passphrase: Passphrase | None = None,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
        providers: Providers | None = None,
    ) -> Store:
        """Make an empty store in *home*.  Raise StoreExists or StoreLocked."""
        check_place(home)
        directory = root_directory or default_root_directory(home)
        root = root_key_of(provider, directory, passphrase)
        with ExitStack() as made, failing_disk(home):
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            (home / "vaults").mkdir(exist_ok=True, mode=0o700)
            keyring = _begun(home, root, entropy) or Keyring.create(
                home / "keyring", root, entropy(16), entropy=entropy
            )
            made.callback(keyring.close)
            configuration = Configuration(
                format=FORMAT,
                store_id=keyring.store_id.hex(),
                provider=provider,
                root=os.fspath(root_directory.absolute()) if root_directory else "",
            )
            sync_directory(home.absolute().parent)
            # The last step: a store whose making a crash cut short is not there.
            write_durably(home / "store.json", msgspec.json.encode(configuration) + b"\n")
            made.pop_all()
        return cls(
            home, configuration, keyring, root, clock=clock, entropy=entropy, providers=providers
        )

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        root_directory: Path | None = None,
        passphrase: Passphrase | None = None,
        clock: Callable[[], int] = system_clock,
        entropy: Callable[[int], bytes] = os.urandom,
        providers: Providers | None = None,
    ) -> Store:
        """Open the store in *home*.  *providers* make the keys of its storage accounts.

        Raise StoreNotFound, StoreLocked, RootKeyMissing or RootKeyWrong.
        """
        configuration = read_configuration(home)
        directory = root_directory or root_directory_of(home, configuration)
        if not directory.is_dir():
            raise RootKeyMissing(f"there is no root key in {directory}")
        root = root_key_of(configuration.provider, directory, passphrase)
        try:
            keyring = Keyring.open(home / "keyring", root, entropy=entropy)
        except KeyringNotFound:
            raise StoreNotFound(f"the store in {home} has no keyring") from None
        if keyring.store_id.hex() != configuration.store_id:
            # Anybody who writes the files can write that: what was seen of the store is kept by its id.
            keyring.close()
            raise StoreNotFound(f"the store in {home} has the keyring of another store")
        return cls(
            home, configuration, keyring, root, clock=clock, entropy=entropy, providers=providers
        )

    def close(self) -> None:
        for vault in self._vaults.values():
            vault.close()
        self._vaults.clear()
        self.keyring.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- vaults ----------------------------------------------------------------------------------

    def vault_ids(self) -> list[str]:
        """The ids of all vaults: their folders' names."""
        return sorted(made.parent.name for made in (self.home / "vaults").glob("*/made"))

    def vaults(self) -> list[Vault]:
        """All vaults, by name; also those that are deleted, and those that were purged."""
        with self._opening:
            for vault_id in self.vault_ids():
                if vault_id not in self._vaults:
                    opened = self._open_vault(self.home / "vaults" / vault_id)
                    self._vaults[vault_id] = opened
                    self._settled(opened)  # nobody asks for a purged one: whoever opens it, ends it
            found = list(self._vaults.values())
        return sorted(found, key=lambda vault: (names.folded(vault.name), vault.id))

    def active(self) -> list[Vault]:
        """The vaults that answer, by name."""
        return [vault for vault in self.vaults() if self._settled(vault).deleted_date is None]

    def deleted(self) -> list[Vault]:
        """The vaults that can be recovered, by name."""
        return [vault for vault in self.vaults() if _is_deleted(self._settled(vault))]

    def vault_names(self) -> list[str]:
        """The names of the vaults that answer."""
        return [vault.name for vault in self.active()]

    def vault(self, name: str | None = None) -> Vault:
        """The vault of that name, or the only one; by its id a vault that was deleted or purged.

        Raise VaultNotFound, VaultIsDeleted or VaultNotChosen.
        """
        if name is not None:
            known = [vault for vault in self.vaults() if vault.id == name]
            return known[0] if known else self.named(name)
        found = self.active()
        if len(found) != 1:
            raise VaultNotChosen(f"the store has {len(found) or 'no'} vaults")
        return found[0]

    def named(self, name: str) -> Vault:
        """The vault that answers to *name*, which is no id.  Raise VaultNotFound or VaultIsDeleted."""
        vault = self.holder(name)
        if vault is None:
            raise VaultNotFound(f"the store has no vault {name[:40]!r}")
        settings = vault.settings
        if settings.deleted_date is not None:
            raise is_deleted(settings)
        return vault

    def deleted_vault(self, name: str) -> Vault:
        """The deleted vault of that name.  Raise DeletedVaultNotFound."""
        vault = self.holder(name)
        if vault is None or vault.settings.deleted_date is None:
            raise DeletedVaultNotFound(f"the store has no deleted vault {name[:40]!r}")
        return vault

    def holder(self, name: str) -> Vault | None:
        """The vault that has *name*, active or deleted.

        What the vaults that ever had it left undone is done first: a purge whose retention is over,
        or whose keys a crash left.  Raise ErasurePending.
        """
        for vault in self.vaults():
            if names.folded(vault.name) != names.folded(name):
                continue
            if vault.settings.deleted_date is not None:
                vault.keeping.catch_up()
            if not vault.settings.purged:
                return vault
        return None

    def _settled(self, vault: Vault) -> Settings:
        """The settings of *vault* once it is purged, if it is time."""
        if vault.settings.deleted_date is not None:
            # The vault's own requests say so: one that cannot be purged now keeps nobody else.
            with suppress(ErasurePending, LogUnavailable):
                vault.keeping.catch_up()
        return vault.settings

    def check_free(self, name: str) -> None:
        """Raise VaultExists if a vault has *name*, or a deleted one holds it."""
        held = self.holder(name)
        if held is not None:
            state = "" if held.settings.deleted_date is None else "deleted "
            raise VaultExists(f"the store has a {state}vault {held.name} already")

    def create_vault(
        self,
        caller: Caller,
        name: str,
        *,
        retention_days: int = 90,
        purge_protection: bool = False,
        wanted: NewVault = NEW_VAULT,
    ) -> Vault:
        """Make a vault whose administrator is *caller*, with every permission, and as *wanted*.

        Its rules stand from its first commit on.  Raise VaultNameInvalid, RetentionInvalid,
        VaultExists, or what is wrong with the rules.
        """
        names.check_vault_name(name)
        names.check_retention(retention_days)
        from vault.founding import founded_by  # a vault is made once and opened often

        names.check_principal(caller.principal)
        founded = founded_by(caller, name, retention_days, purge_protection, wanted)
        with self._alone():
            self.check_free(name)
            with self._finished_vault(self._making().make(caller, founded)) as vault:
                return vault

    def restore_into(
        self,
        caller: Caller,
        source: Vault,
        size: int,
        name: str,
        progress: Progress | None = None,
    ) -> Copied:
        """Make a vault that holds the active secrets of *source* as of *size*.

        Its administrator is *caller*, who must be one of *source*, and nobody else may do anything
        in it yet.  It is reached from where *source* can be reached now, and from nowhere else,
        whatever held then.  Raise NotAdministrator.
        """
        from vault.copying import fill, founded_as  # a vault is hardly ever copied

        names.check_vault_name(name)
        source.handle(caller, CopyVault(as_of=size))
        with self._alone():
            self.check_free(name)
            directory = self._making().make(caller, founded_as(caller, name, source, size))
            context = store_owner(caller)
            with self._finished_vault(directory) as vault:
                return fill(vault, source, size, context, progress)

    @contextmanager
    def _finished_vault(self, directory: Path) -> Iterator[Vault]:
        """A new vault to be filled, which is made to the end then, or closed if that fails."""
        vault = self._open_vault(directory)
        try:
            yield vault
            # The last step: a vault whose making a crash cut short is not there.
            # Else another thread could open it for a second time, which LMDB does not survive.
            with self._opening, failing_disk(directory):
                write_durably(directory / "made", b"")
                self._vaults[directory.name] = vault
        except BaseException:
            # Else it could not be opened again in this process, although it may stand.
            vault.close()
            raise

    def _open_vault(self, directory: Path) -> Vault:
        """The vault in *directory*.  Raise LogMisplaced if one of its logs is not its own."""
        vault = Vault(
            directory,
            self.keyring,
            clock=self._clock,
            entropy=self._entropy,
            providers=self._providers,
        )
        try:
            _check_placed(vault, directory)
        except BaseException:
            vault.close()
            raise
        return vault

    def _making(self) -> Making:
        from vault.making import Making  # a vault is made once and opened often

        return Making(self.home / "vaults", self.keyring, self._clock, self._entropy)

    def _alone(self) -> AbstractContextManager[None]:
        """Two processes must not make two vaults of one name."""
        return file_lock.held(self.home / "store.lock")

    # -- the root key ----------------------------------------------------------------------------

    def rotate_root_key(self, caller: Caller) -> Erasure:
        """Give the root key a new value, destroy the old one, and say so in every vault."""
        destroyed = self.keyring.rotate_root()
        self._record_rotation(caller, destroyed)
        return destroyed

    def change_passphrase(self, caller: Caller, new: bytes) -> Erasure:
        """Keep a new root key under a new passphrase.  Raise StoreLocked without one before."""
        if not isinstance(self._root, PassphraseRootKey):
            raise StoreLocked("the root key of this store is not under a passphrase")
        renewed = self._root.with_passphrase(new)
        destroyed = self.keyring.rotate_root(renewed)
        self._root = renewed
        self._record_rotation(caller, destroyed)
        return destroyed

    def _record_rotation(self, caller: Caller, destroyed: Erasure) -> None:
        context = store_owner(caller)
        try:
            for vault in self.vaults():
                vault.keeping.record_root_rotation(context, destroyed)
        except LogUnavailable as problem:
            raise OutcomeUnknown(
                f"the root key has a new value, but not every vault's history says so: "
                f"rotate it once more ({problem.message})"
            ) from problem


def _check_placed(vault: Vault, directory: Path) -> None:
    # All vaults of a store are sealed under one keyring, so a log of another one opens as well: its
    # records would be told as this vault's.  Nothing public ties `access` to `changes`, but the first
    # keys of both are of the block that the vault was made with.
    if vault.changes.identity.log_id.hex() != directory.name:
        raise LogMisplaced(f"{vault.changes.path}: here are the changes of another vault")
    made_with = {log.numbers().signing[0] // FANOUT for log in (vault.changes, vault.access)}
    if len(made_with) > 1:
        raise LogMisplaced(f"{vault.access.path}: here is the access log of another vault")


def _is_deleted(settings: Settings) -> bool:
    return settings.deleted_date is not None and not settings.purged
