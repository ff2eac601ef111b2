"""What a vault is, to who asks for it: its settings, how long its logs are, who signs them."""

from __future__ import annotations

from eventstore.access_events import VaultRead
from eventstore.transaction import Snapshot
from projections.past import PastRows
from projections.rows import Rows, Settings
from vault import answers
from vault.caller import Caller
from vault.open_vault import OpenVault
from vault.points import Resolved
from vault.reading import settings_of
from vault.resolving import Seen
from vault.rule_commands import ShowVault


def show(vault: OpenVault, caller: Caller, command: ShowVault, seen: Seen) -> answers.VaultFacts:
    """The vault as it is, or as it was at a point.  Raise the refusal."""
    with vault.changes.snapshot() as snapshot:
        rows, rule = vault.admit(snapshot, caller, command, seen)
        then = None if seen.as_of is None else _of_then(vault, snapshot, rows, seen.as_of)
    event = VaultRead(what="settings", at=seen.size, as_of=seen.as_of_size)
    vault.record_read(caller, rule, event)
    return then or standing(vault)


def standing(vault: OpenVault) -> answers.VaultFacts:
    """The vault as it is now."""
    with vault.changes.snapshot() as snapshot:
        settings = settings_of(vault.views.reader(snapshot.transaction))
    logs = {"changes": vault.changes, "access": vault.access}
    return _told(
        settings,
        sizes={name: log.head().size for name, log in logs.items()},
        verifiers={name: log.epochs().signing[-1].verifier for name, log in logs.items()},
        checkpoints={name: log.checkpoint() for name, log in logs.items()},
    )


def _of_then(vault: OpenVault, changes: Snapshot, rows: Rows, at: Resolved) -> answers.VaultFacts:
    # A checkpoint of then is one that was kept: its signing key may be destroyed since.
    with vault.access.snapshot() as access:
        sizes = {"changes": at.size, "access": access.size_at(at.time)}
        epochs = {"changes": changes.epochs, "access": access.epochs}
    return _told(
        settings_of(PastRows(rows, at.size)),
        sizes=sizes,
        verifiers={name: one.verifier_at(sizes[name]) for name, one in epochs.items()},
        checkpoints={},
    )


def _told(
    settings: Settings,
    sizes: dict[str, int],
    verifiers: dict[str, str],
    checkpoints: dict[str, str],
) -> answers.VaultFacts:
    return answers.VaultFacts(
        name=settings.name,
        created=settings.created,
        retention_days=settings.retention_days,
        purge_protection=settings.purge_protection,
        administrators=settings.administrators,
        changes=sizes["changes"],
        access=sizes["access"],
        verifiers=verifiers,
        checkpoints=checkpoints,
        resource_group=settings.resource_group,
        location=settings.location,
        sku=settings.sku,
        vault_tags=settings.vault_tags,
        enabled_for=settings.enabled_for,
        deleted_date=settings.deleted_date,
        scheduled_purge=settings.scheduled_purge,
    )
