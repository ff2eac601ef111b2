"""One decorator makes a command: its own options, the options of every command, and a `Session`.

Options may be typed as `az` users type them: after the verb, lists separated by spaces
(`--tags a=1 b=2`).  What could be a value typed in the wrong place is never printed back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from cli.session import Session
from cli.settings import COLORS, FORMS

COMMON_SECTION = "Common options"

TRUTH = click.Choice(("true", "false"), case_sensitive=False)
"""What `az` takes for a flag that can be taken back."""

limit_option = click.option(
    "--maxresults", type=click.IntRange(min=1), metavar="N", help="At most so many [all]."
)


class CommonOption(click.Option):
    """An option of every command; it stands in a section of its own in the help."""


class Greedy(click.Option):
    """An option that takes all words up to the next option, as `az` reads lists.

    With *only* it takes the first word, and after it only words with *only* in them: so that a
    bare NAME can follow `--tags a=1 b=2`.
    """

    def __init__(self, *args: Any, only: str = "", **kwargs: Any) -> None:
        kwargs["multiple"] = True
        super().__init__(*args, **kwargs)
        self.only = only


class Command(click.Command):
    """A command that reads greedy options and keeps what it did not understand to itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {name: option for option in self.params for name in option.opts}
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, _spread(args, options))
        if rest and not ctx.resilient_parsing:
            # Not which one: a value that was typed as an argument must not go to a log.
            raise click.UsageError("there are more arguments than this command takes", ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], COMMON_SECTION: []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if isinstance(option, click.Option) and record is not None:
                common = isinstance(option, CommonOption)
                sections[COMMON_SECTION if common else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _spread(args: Sequence[str], options: Mapping[str, click.Parameter]) -> list[str]:
    """Write `--tags a b` as `--tags a --tags b`, and `-o` as `--output`.

    The short form is read by click as well, but only after it has looked for a long option that is
    spelt much like it, which costs more than all other parsing.
    """
    spread: list[str] = []
    greedy: Greedy | None = None
    first = False
    for at, word in enumerate(args):
        if word == "--":
            return spread + list(args[at:])
        if word.startswith("-") and word != "-":
            option = options.get(word)
            greedy, first = option if isinstance(option, Greedy) else None, True
            spread.append(word if option is None else max(option.opts, key=len))
            continue
        if greedy is not None and not first:
            if greedy.only in word:
                spread.append(greedy.opts[0])
            else:
                greedy = None
        first = False
        spread.append(word)
    return spread


def common_options() -> list[click.Option]:
    """The options of every command, made anew for each."""
    option = CommonOption
    return [
        option(["-o", "--output"], type=click.Choice(FORMS), help="Form of the output [table]."),
        option(["--query"], metavar="JMESPATH", help="Print only what this selects."),
        option(["--vault-name", "vault"], metavar="NAME", help="The vault, if there are several."),
        option(["--home"], metavar="DIR", help="The store."),
        option(["--root-key"], metavar="DIR", help="The root key [the store's path + .key]."),
        option(["--passphrase-file"], metavar="FILE", help="A file that holds the passphrase."),
        option(["--providers"], metavar="FILE", help="Who makes the keys of storage accounts."),
        option(["--state"], metavar="DIR", help="What was seen of each log is kept here."),
        option(["--as", "principal"], metavar="PRINCIPAL", help="Ask as somebody else; recorded."),
        option(["--request-id"], metavar="ID", help="Repeat a request with its id, at most once."),
        option(["--color"], type=click.Choice(COLORS), help="Colour [auto]."),
        option(["--no-pager"], is_flag=True, help="Never page the output."),
    ]


def server_options() -> list[click.Option]:
    """The options of every command that a server can be asked as well, made anew for each."""
    option = CommonOption
    return [
        option(["--url"], metavar="URL", help="Ask a server: https://VAULT.vault.localhost:8443."),
        option(["--ca"], metavar="FILE", help="Whom to trust for the server [the system's]."),
        option(["--token-file"], metavar="FILE", help="A file that holds a bearer token."),
    ]


def _own(function: Callable[..., None]) -> list[click.Parameter]:
    """The parameters that *function* was decorated with."""
    return list(getattr(function, "__click_params__", ()))


def trust_options() -> list[click.Option]:
    """The options of every command that believes witnesses, made anew for each."""
    option = CommonOption
    return [
        option(["--policy"], metavar="FILE", help="Which witnesses to believe (C2SP tlog-policy)."),
        option(
            ["--tsa-roots"], metavar="FILE", help="Which time stamps to believe: roots, as PEM."
        ),
    ]


def command(
    name: str, *, remote: bool = False, trusting: bool = False
) -> Callable[[Callable[..., None]], Command]:
    """Make a command that gets a `Session` first, and its own parameters by name.

    One that is *remote* can be asked of a server as well as of a store; one that is *trusting* takes
    whose word on time is believed.
    """

    def decorate(function: Callable[..., None]) -> Command:
        shared = [*common_options(), *(server_options() if remote else ())]
        shared += trust_options() if trusting else []
        # A command may mean something else by an option: `explain --as`.
        taken = {text for own in _own(function) for text in own.opts}
        shared = [option for option in shared if not taken.intersection(option.opts)]
        names = [option.name for option in shared if option.name]

        @functools.wraps(function)
        def run(**given: Any) -> None:
            flags = {shared_name: given.pop(shared_name) for shared_name in names}
            function(Session(flags), **given)

        made = click.command(name, cls=Command)(run)
        made.params.extend(shared)
        return made

    return decorate
