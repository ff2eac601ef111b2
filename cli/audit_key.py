"""`muniment audit keygen`: the auditor's own key pair, made on the auditor's machine.

The private key is never printed, never an argument, and goes into no file but its own.
"""

from __future__ import annotations

import os

import click

from cli.command import command
from cli.secret_values import refuse_existing
from cli.session import Session
from cli.values import write_private

PUBLIC_SUFFIX = ".pub"


@command("keygen")
@click.option(
    "--out", default="auditor.key", metavar="FILE", help="The private key's file [auditor.key]."
)
@click.option(
    "--provider",
    type=click.Choice(("file", "passphrase")),
    default="file",
    help="How the private key is kept [file].",
)
def keygen(session: Session, out: str, provider: str) -> None:
    """Make an auditor's key pair.

    The private key stays in FILE, on this machine.  The public key, which is short enough to be
    written on paper, stands in FILE.pub and goes to an administrator of the vault, who grants a
    period to it.  Compare the fingerprint with them on another way.
    """
    from eventstore import auditor
    from eventstore.seal import KEY_SIZE

    for file in (out, out + PUBLIC_SUFFIX):
        refuse_existing(file, yes=False)
    passphrase = None
    if provider == "passphrase":
        passphrase = session.new_passphrase(session.settings.resolve("passphrase_file").value)
    private = os.urandom(KEY_SIZE)
    public = auditor.public_of(private)
    text = auditor.to_text(public)
    write_private(out, [auditor.to_file(private, passphrase, os.urandom)], replace=False)
    write_private(out + PUBLIC_SUFFIX, [text.encode() + b"\n"], replace=False)
    session.output.emit(
        {"file": out, "fingerprint": auditor.fingerprint(public).hex(), "publicKey": text}
    )
    session.terminal.note(f"Give away the public key, and nobody {out}: it opens what is granted.")
