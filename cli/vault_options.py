"""What `vault create` and `vault update` say of a vault's settings and boundary, in `az`'s words."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli.command import TRUTH, Greedy

if TYPE_CHECKING:
    from vault.rule_commands import UpdateBoundary

Function = Callable[..., None]

vault_option = click.option("-n", "--name", metavar="VAULT", help="The vault, as --vault-name.")
bare_name = click.argument("bare", metavar="[NAME]", required=False)
name_option = click.option("-n", "--name", metavar="NAME", help="The vault's name.")

_ENABLED_FOR = ("deployment", "disk_encryption", "template_deployment")


class Wanted(NamedTuple):
    """What was given; None, or no words, is what was not."""

    sku: str | None
    tags: tuple[str, ...]
    enabled_for_deployment: str | None
    enabled_for_disk_encryption: str | None
    enabled_for_template_deployment: str | None
    default_action: str | None
    bypass: str | None
    public_network_access: str | None
    allow_private_ranges: str | None
    network_acls_ips: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not any(self)

    @property
    def rules(self) -> dict[str, Any]:
        """What is said of the boundary, by the names of `NetworkRules` and `UpdateBoundary`."""
        ips = tuple(part for word in self.network_acls_ips for part in word.split(",") if part)
        said = {
            "default_action": self.default_action,
            "bypass": self.bypass,
            "public_network_access": _is(self.public_network_access, "Enabled"),
            "allow_private_ranges": _is(self.allow_private_ranges, "true"),
            "ip_rules": ips if self.network_acls_ips else None,
        }
        return {name: one for name, one in said.items() if one is not None}

    def tag_map(self) -> dict[str, str] | None:
        """The tags; of `--tags ""`, none; None if the option was not given.  Raise Usage."""
        from cli.secret_options import parse_tags

        return parse_tags(self.tags) if self.tags else None

    @property
    def names_uses(self) -> bool:
        return any(getattr(self, f"enabled_for_{use}") is not None for use in _ENABLED_FOR)

    def enabled_for(self, stands: Sequence[str] = ()) -> tuple[str, ...]:
        """For what the vault is enabled then; what is not named stays as it *stands*."""
        found = []
        for use in _ENABLED_FOR:
            word = use.replace("_", "-")
            given = _is(getattr(self, f"enabled_for_{use}"), "true")
            if given or (given is None and word in stands):
                found.append(word)
        return tuple(found)

    def update(self) -> UpdateBoundary:
        from vault.rule_commands import UpdateBoundary

        return UpdateBoundary(**self.rules)


def _is(given: str | None, yes: str) -> bool | None:
    return None if given is None else given == yes


def vault_options(function: Function) -> Function:
    """All of them, given on as `wanted`."""

    @functools.wraps(function)
    def run(*args: Any, **given: Any) -> None:
        wanted = Wanted(**{field: given.pop(field) for field in Wanted._fields})
        function(*args, wanted=wanted, **given)

    made: Function = run
    for option in reversed(_options()):
        made = option(made)
    return made


def _options() -> list[Callable[[Function], Function]]:
    option = click.option
    return [
        option("--sku", metavar="WORD", help="standard or premium; only its name is kept."),
        option("--tags", cls=Greedy, only="=", metavar="K=V ...", help='Tags; "" is none.'),
        *(
            option(f"--enabled-for-{use.replace('_', '-')}", type=TRUTH, help="Key Vault's flag.")
            for use in _ENABLED_FOR
        ),
        option(
            "--default-action",
            type=click.Choice(("Allow", "Deny"), case_sensitive=False),
            help="What becomes of callers whom no network rule names.",
        ),
        option(
            "--bypass",
            type=click.Choice(("AzureServices", "None"), case_sensitive=False),
            help="Whether trusted services may pass the boundary.",
        ),
        option(
            "--public-network-access",
            type=click.Choice(("Enabled", "Disabled"), case_sensitive=False),
            help="Disabled: nobody over a network, save trusted services.",
        ),
        option(
            "--allow-private-ranges",
            type=TRUTH,
            help="Whether network rules may name private addresses.",
        ),
        option(
            "--network-acls-ips",
            cls=Greedy,
            metavar="CIDR ...",
            help='All address rules that there are then; "" is none.',
        ),
    ]
