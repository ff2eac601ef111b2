"""`muniment vault create`, `show`, `list`, `check-name` and `update`; `-n` names it, as in `az keyvault`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import boundary_shapes, shapes
from cli.as_of import Then, as_of_option
from cli.command import TRUTH, Greedy, command
from cli.network_rules import warn_of_nobody
from cli.problems import Usage
from cli.session import Session
from cli.tables import Column
from cli.vault_options import Wanted, bare_name, name_option, vault_options

if TYPE_CHECKING:
    from vault.answers import Boundary, VaultFacts
    from vault.rule_commands import UpdateVault
    from vault.service import Vault

RETENTION = click.option(
    "--retention-days",
    type=int,
    default=90,
    metavar="N",
    help="How long deleted secrets are kept, 7 to 90; fixed for ever [90].",
)
ONE_WAY = click.option(
    "--enable-purge-protection",
    "purge_protection",
    type=TRUTH,
    is_flag=False,
    flag_value="true",
    default="false",
    help="Nobody can purge before the retention is over; cannot be undone.",
)


@command("create")
@bare_name
@name_option
@RETENTION
@ONE_WAY
@click.option("-g", "--resource-group", metavar="NAME", default="", help="Its group [muniment].")
@click.option("-l", "--location", metavar="NAME", default="", help="Where it is [local].")
@vault_options
def create(
    session: Session,
    bare: str | None,
    name: str | None,
    retention_days: int,
    purge_protection: str,
    resource_group: str,
    location: str,
    wanted: Wanted,
) -> None:
    """Make another vault in the store.

    You become its administrator, with every permission.  What is said of its boundary holds from
    its first moment on.
    """
    from vault.rule_commands import NetworkRules, NewVault, ShowBoundary, ShowVault

    chosen = _chosen(session, bare, name)
    if chosen is None:
        raise Usage("name the vault: vault create NAME")
    with session.store() as store:
        vault = store.create_vault(
            session.caller,
            chosen,
            retention_days=retention_days,
            purge_protection=purge_protection == "true",
            wanted=NewVault(
                resource_group=resource_group,
                location=location,
                sku=wanted.sku or "standard",
                vault_tags=wanted.tag_map() or {},
                enabled_for=wanted.enabled_for(),
                boundary=NetworkRules(**wanted.rules),
            ),
        )
        facts = vault.handle(session.caller, ShowVault())
        boundary = vault.handle(session.caller, ShowBoundary())
        several = len(store.vault_names()) > 1
    _emit(session, facts, boundary)
    warn_of_nobody(session, boundary)
    if several:
        session.terminal.note(
            "There are several vaults now: name one with --vault-name or MUNIMENT_VAULT."
        )


@command("show")
@bare_name
@name_option
@as_of_option
def show(session: Session, bare: str | None, name: str | None, as_of: str | None) -> None:
    """Show a vault's settings, boundary, sizes, keys and checkpoints.

    The verifier keys are what `muniment verify --verifier` takes: hand them to an auditor.  With
    --as-of there are no checkpoints: those of then are those that were kept.
    """
    from vault.rule_commands import ShowBoundary, ShowVault

    with session.vault(_chosen(session, bare, name)) as vault:
        then = None if as_of is None else Then(session, vault, as_of)
        if then is None:
            facts = vault.handle(session.caller, ShowVault())
            boundary = vault.handle(session.caller, ShowBoundary())
        else:
            facts, boundary = then.ask(ShowVault()), then.ask(ShowBoundary())
    _emit(session, facts, boundary)


@command("list")
def list_vaults(session: Session) -> None:
    """List the vaults of the store."""
    with session.store() as store:
        found = [
            {"name": name, "vaultUri": f"https://{name}.{shapes.DOMAIN}/"}
            for name in store.vault_names()
        ]
    session.output.emit(found, [Column("NAME", "name"), Column("URI", "vaultUri")])


@command("check-name")
@bare_name
@name_option
def check_name(session: Session, bare: str | None, name: str | None) -> None:
    """Tell whether a vault could have a name.

    In the words of `az keyvault check-name`.  A deleted vault holds its name until it is purged.
    """
    from vault import names
    from vault.refusals import VaultExists, VaultNameInvalid

    chosen = _chosen(session, bare, name)
    if chosen is None:
        raise Usage("name what to look for: vault check-name NAME")
    reason = message = None
    with session.store() as store:
        try:
            names.check_vault_name(chosen)
            store.check_free(chosen)
        except VaultNameInvalid as wrong:
            reason, message = "AccountNameInvalid", wrong.message
        except VaultExists as held:
            reason, message = "AlreadyExists", held.message
    session.output.emit({"message": message, "nameAvailable": reason is None, "reason": reason})


_GIVEN_AWAY = "{who} is no administrator of it any more: only they can change that, see --as."


@command("update")
@bare_name
@name_option
@click.option(
    "--enable-purge-protection",
    "purge_protection",
    type=TRUTH,
    is_flag=False,
    flag_value="true",
    help="Nobody can purge before the retention is over; cannot be undone.",
)
@click.option(
    "--administrators", cls=Greedy, metavar="PRINCIPAL ...", help="All who may govern the vault."
)
@vault_options
def update(
    session: Session,
    bare: str | None,
    name: str | None,
    purge_protection: str | None,
    administrators: tuple[str, ...],
    wanted: Wanted,
) -> None:
    """Change a vault's settings and boundary.

    All that is named, or nothing; what is not named stays.
    """
    from vault.rule_commands import ShowBoundary

    if purge_protection is None and not administrators and wanted.is_empty:
        raise Usage("say what to change: see --help")
    with session.vault(_chosen(session, bare, name)) as vault:
        asked = _update(session, vault, purge_protection, administrators, wanted)
        facts = vault.handle(session.caller, asked)
        if session.caller.principal not in facts.administrators:
            # The change is made, and with it the right to ask for the boundary is gone.
            boundary = None
            session.terminal.note(_GIVEN_AWAY.format(who=session.caller.principal))
        else:
            boundary = vault.handle(session.caller, ShowBoundary())
    _emit(session, facts, boundary)
    if wanted.rules and boundary is not None:
        warn_of_nobody(session, boundary)


def _update(
    session: Session,
    vault: Vault,
    purge_protection: str | None,
    administrators: tuple[str, ...],
    wanted: Wanted,
) -> UpdateVault:
    from msgspec import UNSET

    from vault.rule_commands import ShowVault, UpdateVault

    tags = wanted.tag_map()
    uses = None
    if wanted.names_uses:
        stands = vault.handle(session.caller, ShowVault()).enabled_for
        uses = wanted.enabled_for(stands)
    return UpdateVault(
        purge_protection=UNSET if purge_protection is None else purge_protection == "true",
        administrators=administrators or UNSET,
        sku=wanted.sku or UNSET,
        vault_tags=UNSET if tags is None else tags,
        enabled_for=UNSET if uses is None else uses,
        boundary=wanted.update() if wanted.rules else UNSET,
    )


def _chosen(session: Session, bare: str | None, name: str | None) -> str | None:
    """The vault that NAME, --name or --vault-name says.  Raise Usage where they differ."""
    if bare is not None and name is not None and bare != name:
        raise Usage("NAME and --name are not the same")
    return session.vault_name(bare or name)


def _emit(session: Session, facts: VaultFacts, boundary: Boundary | None) -> None:
    shape = shapes.vault(facts)
    rules = None if boundary is None else boundary_shapes.boundary(boundary)
    if session.output.for_people and not session.output.has_query:
        # Notes of several lines: `checkpoint show` prints them as they are.
        shape.pop("checkpoints", None)
        rules = None if rules is None else boundary_shapes.summary(rules)
    session.output.emit(shape | {"boundary": rules})
