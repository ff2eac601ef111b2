"""Every noun and verb, where it stands, and what it does in a line.  Importing a verb costs only it.

The summaries stand here so that `muniment --help` imports no command; a test holds them to the
commands' own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click


class Verb(NamedTuple):
    """A command that is imported when it is run."""

    place: str
    summary: str


Grammar = Mapping[str, "Verb | Grammar"]

GRAMMAR: Grammar = {
    "demo": Verb("cli.demo:demo", "Show the main job, guided, on real input."),
    "init": Verb("cli.init:init", "Make a store and its first vault."),
    "vault": {
        "create": Verb("cli.vaults:create", "Make another vault in the store."),
        "show": Verb(
            "cli.vaults:show", "Show a vault's settings, boundary, sizes, keys and checkpoints."
        ),
        "list": Verb("cli.vaults:list_vaults", "List the vaults of the store."),
        "check-name": Verb("cli.vaults:check_name", "Tell whether a vault could have a name."),
        "update": Verb("cli.vaults:update", "Change a vault's settings and boundary."),
        "delete": Verb("cli.vault_deletion:delete", "Delete a vault; it can be recovered."),
        "list-deleted": Verb("cli.vault_deletion:list_deleted", "List the deleted vaults."),
        "show-deleted": Verb("cli.vault_deletion:show_deleted", "Show a deleted vault."),
        "recover": Verb("cli.vault_deletion:recover", "Bring a deleted vault back."),
        "purge": Verb("cli.vault_deletion:purge", "Destroy the keys of a deleted vault, for ever."),
    },
    "secret": {
        "set": Verb("cli.secret_values:set_secret", "Make a new version of a secret."),
        "show": Verb("cli.secret_values:show", "Print a secret with its value."),
        "list": Verb("cli.secret_lists:list_secrets", "List the secrets, without values."),
        "list-versions": Verb("cli.secret_lists:list_versions", "List the versions of a secret."),
        "set-attributes": Verb(
            "cli.secret_attributes:set_attributes", "Change a version's attributes or tags."
        ),
        "delete": Verb("cli.secret_deletion:delete", "Delete a secret; it can be recovered."),
        "list-deleted": Verb("cli.secret_lists:list_deleted", "List the deleted secrets."),
        "show-deleted": Verb("cli.secret_deletion:show_deleted", "Show a deleted secret."),
        "recover": Verb("cli.secret_deletion:recover", "Bring a deleted secret back."),
        "purge": Verb("cli.secret_deletion:purge", "Destroy a deleted secret's key, for ever."),
        "backup": Verb("cli.secret_backup:backup", "Write all versions to an encrypted file."),
        "restore": Verb("cli.secret_backup:restore", "Bring back what a backup holds."),
        "download": Verb("cli.secret_values:download", "Write a secret's value to a file."),
        "import": Verb("cli.secret_import:import_secrets", "Set many secrets from a file."),
        "export": Verb("cli.secret_export:export", "Write names and values to a file."),
    },
    "storage": {
        "add": Verb("cli.storage_accounts:add", "Manage a storage account from now on."),
        "show": Verb("cli.storage_accounts:show", "Show how a storage account is managed."),
        "list": Verb("cli.storage_accounts:list_accounts", "List the storage accounts."),
        "update": Verb("cli.storage_accounts:update", "Change how a storage account is managed."),
        "remove": Verb(
            "cli.storage_deletion:remove", "Delete a storage account here; it can be recovered."
        ),
        "list-deleted": Verb(
            "cli.storage_deletion:list_deleted", "List the deleted storage accounts."
        ),
        "show-deleted": Verb(
            "cli.storage_deletion:show_deleted", "Show a deleted storage account."
        ),
        "recover": Verb("cli.storage_deletion:recover", "Bring a deleted storage account back."),
        "purge": Verb(
            "cli.storage_deletion:purge",
            "Destroy what the vault holds of a deleted storage account, for ever.",
        ),
        "backup": Verb(
            "cli.storage_deletion:backup", "Write a storage account to an encrypted file."
        ),
        "restore": Verb(
            "cli.storage_deletion:restore", "Bring back the storage account that a backup holds."
        ),
        "regenerate-key": Verb(
            "cli.storage_keys:regenerate_key", "Have a key of a storage account made anew."
        ),
        "sync": Verb("cli.storage_keys:sync", "Ask for a storage account's keys as they are."),
        "rotate-due": Verb("cli.storage_keys:rotate_due", "Rotate the keys that are due."),
        "sas-definition": {
            "create": Verb("cli.sas_definitions:create", "Make tokens of a template from now on."),
            "show": Verb("cli.sas_definitions:show", "Show a SAS definition."),
            "list": Verb(
                "cli.sas_definitions:list_definitions",
                "List the SAS definitions of a storage account.",
            ),
            "update": Verb("cli.sas_definitions:update", "Change a SAS definition."),
            "delete": Verb(
                "cli.sas_definitions:delete", "Delete a SAS definition; it can be recovered."
            ),
            "list-deleted": Verb(
                "cli.sas_definitions:list_deleted",
                "List the deleted SAS definitions of a storage account.",
            ),
            "show-deleted": Verb(
                "cli.sas_definitions:show_deleted", "Show a deleted SAS definition."
            ),
            "recover": Verb("cli.sas_definitions:recover", "Bring a deleted SAS definition back."),
        },
    },
    "policy": {
        "set": Verb("cli.policy:set_policy", "Say what a principal may do."),
        "delete": Verb("cli.policy:delete", "Take everything from a principal."),
        "list": Verb("cli.policy:list_policies", "List the access policies."),
    },
    "network-rule": {
        "add": Verb(
            "cli.network_rules:add", "Let callers in from more addresses, or from a subnet."
        ),
        "remove": Verb("cli.network_rules:remove", "Take rules away; each must stand."),
        "list": Verb("cli.network_rules:list_rules", "Show from where a vault can be reached."),
    },
    "network": {
        "set": Verb("cli.networks:set_network", "Define a virtual network, or define it anew."),
        "delete": Verb("cli.networks:delete", "Forget a virtual network; no rule may need it."),
        "list": Verb("cli.networks:list_networks", "List the virtual networks and their subnets."),
    },
    "trusted-service": {
        "bind": Verb(
            "cli.trusted_services:bind", "Take a client or a principal for a trusted service."
        ),
        "unbind": Verb("cli.trusted_services:unbind", "Take it for a trusted service no longer."),
        "list": Verb(
            "cli.trusted_services:list_services", "List the trusted services that are bound."
        ),
    },
    "explain": Verb(
        "cli.explain:explain", "Tell whether somebody would be let in, and by which rule."
    ),
    "log": Verb("cli.log:log", "Show what happened, who asked, and who was refused."),
    "who-read": Verb(
        "cli.investigation:who_read", "Show every time that a secret's value was given out."
    ),
    "exposure": Verb(
        "cli.investigation:exposure", "Show every version that a principal was ever given."
    ),
    "who-could": Verb(
        "cli.investigation:who_could", "Show who could do what with a secret, and from where."
    ),
    "blame": Verb("cli.investigation:blame", "Show which event made each attribute what it is."),
    "diff": Verb(
        "cli.diff:diff", "Show what differs between two points, or two copies of a store."
    ),
    "replay": Verb("cli.replay:replay", "Retell what happened, with the state before and after."),
    "restore": Verb("cli.restore:restore", "Go back to a point, by new events."),
    "store": {
        "backup": Verb("cli.store:backup", "Copy the whole store while others write to it."),
        "import": Verb("cli.store:import_store", "Make a store of a copy, and say so in it."),
    },
    "verify": Verb("cli.verify:verify", "Check the history with public keys only."),
    "checkpoint": {
        "show": Verb("cli.checkpoint:show", "Print the signed checkpoint of a log."),
        "publish": Verb(
            "cli.checkpoint:publish",
            "Write the signed checkpoints to where others keep them, or let others sign them.",
        ),
        "forget": Verb(
            "cli.checkpoint:forget", "Accept a vault as it is now, whatever was seen of it."
        ),
    },
    "witness": {
        "init": Verb(
            "cli.witness:init", "Make a witness with a key of its own, and print the key."
        ),
        "show-key": Verb(
            "cli.witness:show_key",
            "Print the witness's verifier key, for the policies of those who believe it.",
        ),
        "trust": Verb("cli.witness:trust", "Cosign a log from now on, by its verifier key."),
        "serve": Verb("cli.witness:serve", "Cosign what the logs that are trusted submit."),
        "evidence": Verb(
            "cli.witness:evidence",
            "Show the forks that were seen: two notes, signed by one log, that cannot both be true.",
        ),
    },
    "prove": Verb("cli.prove:prove", "Prove that a record is in the log."),
    "export": {
        "tiles": Verb("cli.export_tiles:tiles", "Write a log as tiles that other tools verify."),
        "records": Verb(
            "cli.export_records:records", "Write both logs, still sealed, for who may read them."
        ),
    },
    "audit": {
        "package": Verb(
            "cli.audit:package", "Put the evidence of a period into one file, without any value."
        ),
        "keygen": Verb("cli.audit_key:keygen", "Make an auditor's key pair."),
        "grant": Verb("cli.audit_grant:grant", "Let an auditor read a period, without values."),
        "grants": Verb("cli.audit_grant:grants", "List what was granted to auditors."),
        "read": Verb("cli.audit_read:read", "Read a granted period from a copy, offline."),
    },
    "rebuild": Verb("cli.rebuild:rebuild", "Make the views anew from the log, and compare."),
    "serve": Verb("cli.serve:serve", "Serve the vaults over HTTPS, as Azure Key Vault does."),
    "tls": {
        "init": Verb("cli.tls:init", "Make a local authority and a certificate of it."),
        "renew": Verb("cli.tls:renew", "Make a new certificate of the same authority."),
    },
    "env": {
        "azure": Verb(
            "cli.env:azure", "Print the variables that point Azure's SDKs at the service."
        ),
        "az-cli": Verb(
            "cli.env:az_cli", "Print the commands that point the Azure CLI at the service."
        ),
    },
    "key": {
        "rotate": Verb("cli.key:rotate", "Rotate the root, signing and audit keys."),
        "change-passphrase": Verb("cli.key:change_passphrase", "Choose another passphrase."),
    },
    "identity": {
        "add": Verb("cli.identity:add", "Register a client, and print its secret."),
        "list": Verb(
            "cli.identity:list_identities", "List the clients, or the issuers that are trusted."
        ),
        "remove": Verb("cli.identity:remove", "Forget a client, or an issuer."),
        "rotate": Verb("cli.identity:rotate", "Give a client a new secret, and print it."),
        "trust": Verb("cli.identity:trust", "Believe the tokens of an outside issuer."),
    },
    "token": {
        "issue": Verb("cli.token:issue_token", "Print an access token of a client, for curl."),
    },
    "run": Verb("cli.run:run", "Run a program with secrets in its environment."),
    "doctor": Verb("cli.doctor:doctor", "Look at everything, and say how to mend it."),
    "completion": Verb("cli.completion:completion", "Print the completion script of a shell."),
}

NOUNS: Mapping[str, str] = {
    "vault": "Vaults: each has its own logs, policies and settings.",
    "secret": "Secrets: set, read, delete, bring back.",
    "storage": "Storage accounts: keys that rotate and are never shown.",
    "sas-definition": "What the tokens of a storage account may do, and for how long.",
    "policy": "Access policies: who may do what.",
    "network-rule": "Network rules: from where a vault's secrets can be reached.",
    "network": "Virtual networks: which callers come from which subnet.",
    "trusted-service": "Trusted services: who may pass the boundary as one.",
    "store": "The whole store: a hot copy of it, and a store made of a copy.",
    "checkpoint": "Signed checkpoints: keep one, and history cannot be rewritten.",
    "witness": "A witness of your own: it cosigns the checkpoints of logs, and never two histories.",
    "export": "The log for others: leaves and checkpoints, and nothing secret.",
    "audit": "What an auditor is given, and reads without the store.",
    "tls": "The service's certificates, of an authority of its own.",
    "env": "What points Azure's SDKs and command line at the service.",
    "key": "The keys of the store.",
    "identity": "Who may sign in to the service: its clients, and the issuers it trusts.",
    "token": "Access tokens for the service.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def __init__(self, name: str, verbs: Grammar, help: str):
        super().__init__(name, help=help, no_args_is_help=True)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self._verbs.get(cmd_name)
        if verb is None:
            return None
        return load(verb) if isinstance(verb, Verb) else group(cmd_name, verb)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self._verbs and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=self._verbs, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, verb.summary if isinstance(verb, Verb) else NOUNS[name])
                    for name, verb in self._verbs.items()
                ]
            )


def load(verb: Verb) -> click.Command:
    module, _, attribute = verb.place.partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, click.Command), verb.place
    return found


def group(name: str, verbs: Grammar) -> LazyGroup:
    return LazyGroup(name, verbs, NOUNS[name])
