"""Options that several `secret` commands share: which secret, and what stands beside its value.

The names are `az keyvault secret`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from cli.command import Greedy
from cli.problems import PointInvalid, Usage
from cli.reference import Reference, reference

Function = Callable[..., None]
CLEAR = ("", "none")
"""What `set-attributes` takes for a date or a text that shall be no more."""


def secret_argument(
    *, versions: bool, unsaid: str = "newest", bare_version: bool = False
) -> Callable[[Function], Function]:
    """NAME, --name NAME or --id URL, and with *versions* --version: given on as `secret`.

    *unsaid* is what is meant without a version.  With *bare_version* one may stand behind NAME.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def run(
            *args: Any, bare: str | None, name: str | None, identifier: str | None, **given: Any
        ) -> None:
            version = _one_version(given.pop("version", None), given.pop("behind", None))
            found = reference(bare, name, identifier, version)
            function(*args, secret=found if versions else found._replace(version=""), **given)

        options = [
            click.argument("bare", metavar="[NAME]", required=False),
            click.option("-n", "--name", metavar="NAME", help="The secret's name."),
            click.option("--id", "identifier", metavar="URL", help="Its id, as lists print it."),
        ]
        if bare_version:
            options.insert(1, click.argument("behind", metavar="[VERSION]", required=False))
        if versions:
            options.append(click.option("--version", metavar="HEX", help=f"A version [{unsaid}]."))
        return _decorated(run, options)

    return decorate


def _one_version(named: str | None, behind: str | None) -> str | None:
    if named is not None and behind is not None:
        raise Usage("name one version: behind NAME or with --version")
    return behind if named is None else named


class Given(NamedTuple):
    """What was given beside a value; None is what was not given."""

    content_type: str | None
    tags: tuple[str, ...]
    enabled: str | None
    expires: str | None
    not_before: str | None

    def tag_map(self) -> dict[str, str] | None:
        """The tags; of `--tags ""`, none; None if the option was not given.  Raise Usage."""
        return parse_tags(self.tags) if self.tags else None

    @property
    def is_enabled(self) -> bool | None:
        return None if self.enabled is None else self.enabled == "true"

    def date(self, name: str, now: int) -> int | None:
        """Seconds since 1970 of `expires` or `not_before`.  Raise PointInvalid."""
        text: str | None = getattr(self, name)
        if text is None:
            return None
        from cli.points import future

        try:
            return future(text, now)
        except PointInvalid as error:
            raise PointInvalid(f"--{name.replace('_', '-')}: {error.message}") from None


def attribute_options(function: Function) -> Function:
    """--content-type, --tags, --enabled, --expires and --not-before: given on as `beside`."""

    @functools.wraps(function)
    def run(*args: Any, **given: Any) -> None:
        beside = Given(**{field: given.pop(field) for field in Given._fields})
        function(*args, beside=beside, **given)

    truth = click.Choice(("true", "false"), case_sensitive=False)
    when = "RFC 3339, a date, or a duration from now: 90d, P30D."
    options = [
        click.option("--content-type", metavar="TEXT", help="What kind of value this is."),
        click.option("--tags", cls=Greedy, only="=", metavar="K=V ...", help='Tags; "" is none.'),
        click.option("--enabled", type=truth, help="Whether the value is given out."),
        click.option("--expires", metavar="TIME", help=f"When it expires: {when}"),
        click.option("--not-before", metavar="TIME", help=f"From when it counts: {when}"),
    ]
    return _decorated(run, options)


def parse_tags(words: Sequence[str]) -> dict[str, str]:
    """`k=v` words as a map; a word without `=` is a tag with an empty value, as in `az`."""
    tags: dict[str, str] = {}
    for word in words:
        if not word:
            continue
        name, _, value = word.partition("=")
        if name in tags:
            raise Usage("--tags names a tag twice")
        tags[name] = value
    return tags


def named(secret: Reference) -> str:
    """The secret's name for a message."""
    return f"{secret.name} version {secret.version}" if secret.version else secret.name


def _decorated(function: Function, options: Sequence[Callable[[Function], Function]]) -> Function:
    for option in reversed(options):
        function = option(function)
    return function
