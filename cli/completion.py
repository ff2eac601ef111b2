"""`muniment completion`: the script that makes a shell complete nouns, verbs and options."""

from __future__ import annotations

import sys

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash: eval "$(muniment completion bash)".  Names of secrets are not completed: a list is
    a recorded read.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from cli.main import COMPLETE, PROGRAM, root

    found = get_completion_class(shell)
    assert found is not None, shell
    # Not the class's own `source`: bash's starts a bash to ask for its version.
    sys.stdout.write(ShellComplete.source(found(root, {}, PROGRAM, COMPLETE)))
