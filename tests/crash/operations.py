"""What the crash tests interrupt: the operations, where they start from, and how they end.

`prepare` makes the store that every case gets a copy of.  Each operation can be asked for, asked for
again, and looked for afterwards: `stands` says whether it is there, and fails if it is there by
half.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from eventstore.errors import KeyErased
from eventstore.events import KeysErased, RootKeyRotated, SecretPurged
from eventstore.rule_events import VaultPurged
from eventstore.storage_events import StorageKeyRegenerated
from support.providers import RESOURCE, FileProvider, providers
from support.vaults import ALICE, START, Clock, make_vault, open_store
from vault.caller import Caller
from vault.commands import (
    BackupSecret,
    DeleteSecret,
    GetDeletedSecret,
    GetSecret,
    ListSecretVersions,
    PurgeDeletedSecret,
    RestoreSecret,
    SetSecret,
)
from vault.history_commands import RotateKeys
from vault.refusals import (
    DeletedSecretNotFound,
    DeletedVaultNotFound,
    SecretNotFound,
    StorageBusy,
    VaultError,
    VaultExists,
)
from vault.rule_commands import DeleteVault, PurgeVault
from vault.service import Vault
from vault.storage_commands import RegenerateKey, SetStorageAccount
from vault.store import Store

VAULT = "test-vault"
SECOND = "second-vault"
DOOMED = "doomed-vault"
ASKED = Caller(principal=ALICE.principal, auth=ALICE.auth, request="asked-once")
"""Who asks for the operation: a request id makes asking again harmless."""


class Place(NamedTuple):
    """A folder with a store, its root key beside it, and a backup blob."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "store"

    @property
    def slots(self) -> Path:
        return self.folder / "store.key"

    @property
    def blob(self) -> Path:
        return self.folder / "blob"

    @property
    def provider(self) -> FileProvider:
        """Who makes the keys of the storage account; its own disk may fail as well."""
        return FileProvider(self.folder / "provider.json")

    def open(self, **options: Any) -> Store:
        return Store.open(self.home, providers=providers(self.provider), **options)


def prepare(place: Place) -> None:
    """A store with one vault: secrets to read, to delete, to purge and to restore, and an account."""
    make_vault(place.home, Clock())[0].close()
    with place.open(clock=Clock(START + 1000)) as store:
        vault = store.vault(VAULT)
        vault.handle(
            ALICE,
            SetStorageAccount(
                name="shop", resource_id=RESOURCE, active_key="key1", auto_regenerate=False
            ),
        )
        for name in ("kept", "leaving", "doomed", "lost"):
            for value in (f"{name}-first", f"{name}-second"):
                vault.handle(ALICE, SetSecret(name=name, value=value))
        place.blob.write_bytes(vault.handle(ALICE, BackupSecret(name="lost")).blob)
        vault.handle(ALICE, DeleteSecret(name="lost"))
        vault.handle(ALICE, PurgeDeletedSecret(name="lost"))
        vault.handle(ALICE, DeleteSecret(name="doomed"))
        vault.handle(ALICE, GetSecret(name="kept"))


class Operation(NamedTuple):
    """How to do it, and how to see afterwards whether it was done."""

    ask: Callable[[Place, Store, Vault], object]
    stands: Callable[[Place, Store, Vault], bool]
    already_done: tuple[type[VaultError], ...] = ()
    """What asking again may say, if it cannot carry a request id."""
    prepare: Callable[[Place], None] | None = None
    """What must be there besides."""


# --- secrets ------------------------------------------------------------------------------------


def ask_set(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, SetSecret(name="fresh", value="fresh-value", tags={"a": "b"}))


def was_set(place: Place, store: Store, vault: Vault) -> bool:
    try:
        found = vault.handle(ALICE, GetSecret(name="fresh"))
    except SecretNotFound:
        return False
    assert (found.value, found.tags) == ("fresh-value", {"a": "b"})
    return True


def ask_delete(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, DeleteSecret(name="leaving"))


def was_deleted(place: Place, store: Store, vault: Vault) -> bool:
    try:
        vault.handle(ALICE, GetDeletedSecret(name="leaving"))
    except DeletedSecretNotFound:
        assert vault.handle(ALICE, GetSecret(name="leaving")).value == "leaving-second"
        return False
    assert not can_read(vault, "leaving")
    return True


def ask_purge(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, PurgeDeletedSecret(name="doomed"))


def was_purged(place: Place, store: Store, vault: Vault) -> bool:
    """A purge that stands has its receipt as soon as the store did anything at all."""
    assert not can_read(vault, "doomed")
    entries = entries_of(vault)
    purges = [one for one in entries if isinstance(one.event, SecretPurged)]
    receipts = [one for one in entries if isinstance(one.event, KeysErased)]
    ours = [one for one in purges if one.event.name == "doomed"]
    assert [one.context.cause for one in receipts] == [one.position for one in purges]
    assert len(ours) <= 1, "one purge was recorded twice"
    try:
        vault.handle(ALICE, GetDeletedSecret(name="doomed"))
    except DeletedSecretNotFound:
        assert ours
        return True
    assert not ours
    return False


def ask_restore(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, RestoreSecret(blob=place.blob.read_bytes()))


def was_restored(place: Place, store: Store, vault: Vault) -> bool:
    versions = vault.handle(ALICE, ListSecretVersions(name="lost"))
    if not versions:
        return False
    values = {
        vault.handle(ALICE, GetSecret(name="lost", version=one.version)).value for one in versions
    }
    assert values == {"lost-first", "lost-second"}
    assert vault.handle(ALICE, GetSecret(name="lost")).value == "lost-second"
    return True


def ask_read(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, GetSecret(name="kept")).value


def was_read(place: Place, store: Store, vault: Vault) -> bool:
    with vault.access.snapshot() as snapshot:
        return any(entry.context.request == ASKED.request for entry in snapshot.entries())


# --- storage accounts -----------------------------------------------------------------------------


def ask_regenerate(place: Place, store: Store, vault: Vault) -> object:
    return vault.handle(ASKED, RegenerateKey(name="shop", key_name="key2")).name


def was_regenerated(place: Place, store: Store, vault: Vault) -> bool:
    """Unless it is open what the provider did, the keys are those that it has."""
    done = [one for one in entries_of(vault) if isinstance(one.event, StorageKeyRegenerated)]
    assert len(done) <= 1, "one regeneration was recorded twice"
    with vault.changes.snapshot() as snapshot:
        account = next(iter(vault.views.reader(snapshot.transaction).storage_accounts()))
        known = snapshot.content(account.keys_at, account.key).keys
    assert account.regenerating or known == place.provider.keys
    assert not (done and account.regenerating)
    return bool(done)


# --- keys, views, vaults, stores ----------------------------------------------------------------


def ask_rotate_keys(place: Place, store: Store, vault: Vault) -> object:
    return [item.operation for item in vault.handle(ASKED, RotateKeys())]


def were_keys_rotated(place: Place, store: Store, vault: Vault) -> bool:
    return all(len(log.epochs().signing) > 1 for log in (vault.changes, vault.access))


def ask_rotate_root(place: Place, store: Store, vault: Vault) -> object:
    return store.rotate_root_key(ALICE).root_epoch


def was_root_rotated(place: Place, store: Store, vault: Vault) -> bool:
    return any(isinstance(entry.event, RootKeyRotated) for entry in entries_of(vault))


def ask_rebuild(place: Place, store: Store, vault: Vault) -> object:
    rebuilt = vault.rebuild()
    assert rebuilt.before == rebuilt.after
    return rebuilt.events


def was_rebuilt(place: Place, store: Store, vault: Vault) -> bool:
    with vault.changes.snapshot() as snapshot:
        return vault.views.pointer(snapshot.transaction).generation > 0


def ask_vault(place: Place, store: Store, vault: Vault) -> object:
    return store.create_vault(ALICE, SECOND).name


def was_vault_made(place: Place, store: Store, vault: Vault) -> bool:
    if SECOND not in store.vault_names():
        return False
    made = store.vault(SECOND)
    made.handle(ALICE, SetSecret(name="first", value="first-value"))
    assert made.handle(ALICE, GetSecret(name="first")).value == "first-value"
    return True


def prepare_doomed(place: Place) -> None:
    """A second vault, deleted, with secrets and a backup."""
    with open_store(place.home, Clock(START + 500_000)) as store:
        vault = store.create_vault(ALICE, DOOMED)
        for name in ("one", "two"):
            vault.handle(ALICE, SetSecret(name=name, value=f"{name}-value"))
        vault.handle(ALICE, BackupSecret(name="one"))
        vault.handle(ALICE, DeleteVault())


def ask_purge_vault(place: Place, store: Store, vault: Vault) -> object:
    return store.deleted_vault(DOOMED).handle(ASKED, PurgeVault()).keys


def was_vault_purged(place: Place, store: Store, vault: Vault) -> bool:
    """A purge that stands has its receipt, and its keys are gone, as soon as anybody came by."""
    [doomed] = [one for one in store.vaults() if one.name == DOOMED]
    if doomed in store.deleted():
        assert not [one for one in entries_of(doomed) if isinstance(one.event, VaultPurged)]
        return False
    purged, receipt = entries_of(doomed)[-2:]
    assert isinstance(purged.event, VaultPurged)
    assert isinstance(receipt.event, KeysErased)
    assert receipt.context.cause == purged.position
    for number in {one.content_key for one in entries_of(doomed)} - {None}:
        try:
            store.keyring.key(number)
        except KeyErased:
            continue
        raise AssertionError(f"key {number} is still there")
    return True


OPERATIONS = {
    "read": Operation(ask_read, was_read),
    "set": Operation(ask_set, was_set),
    "delete": Operation(ask_delete, was_deleted),
    "purge": Operation(ask_purge, was_purged),
    "restore": Operation(ask_restore, was_restored),
    "rotate-keys": Operation(ask_rotate_keys, were_keys_rotated),
    "rotate-root": Operation(ask_rotate_root, was_root_rotated),
    "rebuild": Operation(ask_rebuild, was_rebuilt),
    "regenerate": Operation(ask_regenerate, was_regenerated, (StorageBusy,)),
    "create-vault": Operation(ask_vault, was_vault_made, (VaultExists,)),
    "purge-vault": Operation(
        ask_purge_vault, was_vault_purged, (DeletedVaultNotFound,), prepare_doomed
    ),
}


# --- looking ------------------------------------------------------------------------------------


def can_read(vault: Vault, name: str) -> bool:
    try:
        vault.handle(ALICE, GetSecret(name=name))
    except SecretNotFound:
        return False
    return True


def entries_of(vault: Vault) -> list[Any]:
    with vault.changes.snapshot() as snapshot:
        return list(snapshot.entries())
