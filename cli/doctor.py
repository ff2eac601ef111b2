"""`muniment doctor`: what is there, who said so, and how to mend what is wrong.

It looks from outside in: settings, files and who may read them, root key, then each vault.  What it
finds on the way does not stop it; only what stands behind a locked door stays unsaid, and that is
said.  Exit status 0 only if all is well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli import doctor_files as files
from cli.command import command
from cli.problems import RolledBack, Unwell
from cli.session import Session
from cli.settings import KEYS
from cli.tables import visible
from cli.terminal import Terminal
from eventstore.errors import MunimentError

if TYPE_CHECKING:
    from eventstore.log import Log
    from vault.provider_file import Entry
    from vault.service import Vault
    from vault.store import Store

OK, NOTE, WRONG = "ok", "note", "wrong"
_STYLES = {OK: "green", NOTE: "yellow", WRONG: "red"}
_CHECK_WIDTH = 24


class Finding(NamedTuple):
    """One thing that was looked at.  *state* is ok, note (it works, but) or wrong."""

    check: str
    found: str
    state: str = OK
    mend: str = ""
    origin: str = ""


@command("doctor", trusting=True)
def doctor(session: Session) -> None:
    """Look at everything, and say how to mend it.

    Reads no secret.  Opening the store finishes what a crash may have left, as every command does.
    """
    findings = [*_settings(session), *_surroundings(session), *_inside(session)]
    text = "".join(_told(session.terminal, finding) for finding in findings)
    session.output.raw(text, [finding._asdict() for finding in findings])
    wrong = [finding.check for finding in findings if finding.state == WRONG]
    if wrong:
        raise Unwell(f"to be mended: {', '.join(wrong)}")


def _told(terminal: Terminal, finding: Finding) -> str:
    """A line for people, and what to do in a second one."""
    state = terminal.paint(finding.state.ljust(6), _STYLES[finding.state])
    origin = f"  ({visible(finding.origin)})" if finding.origin else ""
    mend = f"      {'':{_CHECK_WIDTH}}  to mend: {finding.mend}\n" if finding.mend else ""
    return f"{state}{finding.check:{_CHECK_WIDTH}}  {visible(finding.found)}{origin}\n{mend}"


def _settings(session: Session) -> list[Finding]:
    unset = {
        "principal": session.caller.principal,
        "root_key": "where the store says",
        "vault": "the only one",
    }
    found = []
    for name, key in KEYS.items():
        value, origin = session.settings.resolve(name)
        shown = value or unset.get(name, "none")
        found.append(Finding(f"setting {key.flag[2:]}", shown, origin=origin))
    found += [Finding("settings file", str(path)) for path, _ in session.settings.files()]
    return found


# --- what can be seen without a key ---------------------------------------------------------------


def _surroundings(session: Session) -> list[Finding]:
    from vault.configuration import read_configuration, root_directory_of

    home = session.home
    try:
        configuration = read_configuration(home)
    except MunimentError as error:
        return [Finding("store", error.message, WRONG, error.hint)]
    root = session.root_directory or root_directory_of(home, configuration)
    findings = [
        Finding("store", f"{home}, format {configuration.format}"),
        _privacy("store's files", home),
        Finding("root key", f"{root}, provider {configuration.provider}"),
        _privacy("root key's files", root),
        _apart(home, root),
        _space(home),
    ]
    passphrase = session.settings.path("passphrase_file")
    if passphrase is not None and passphrase.exists():
        findings.append(_privacy("passphrase file", passphrase))
    return findings + _providers(session.settings.path("providers"))


def _providers(path: Path | None) -> list[Finding]:
    """Who makes the keys of storage accounts; no secret and no argument of a program is shown."""
    if path is None:
        return []
    from vault.provider_file import read

    try:
        return [_provider(one) for one in read(path)]
    except MunimentError as error:
        return [Finding("providers", error.message, WRONG, error.hint)]


def _provider(one: Entry) -> Finding:
    told = f"{one.kind} for {one.prefix or 'every resource'}"
    if one.vaults is not None:
        told += f" of {', '.join(one.vaults)}"
    if problem := one.problem():
        return Finding(f"provider {one.name}", f"{told}: {problem}", WRONG, "docs/providers.md")
    return Finding(f"provider {one.name}", told)


def _privacy(check: str, place: Path) -> Finding:
    exposed = files.exposed(place)
    if not exposed:
        return Finding(check, "only their owner may use them")
    shown = ", ".join(str(path) for path in exposed[:3]) + (" ..." if len(exposed) > 3 else "")
    return Finding(check, f"others may use {shown}", WRONG, f"chmod -R go= {place}")


def _apart(home: Path, root: Path) -> Finding:
    if root.absolute().is_relative_to(home.absolute()):
        mend = "move it out: a copy of the store must not be a copy of its key"
        return Finding("root key's place", "inside the store", WRONG, mend)
    return Finding("root key's place", "outside the store")


def _space(home: Path) -> Finding:
    free = files.free_share(home)
    if free < files.SCARCE:
        mend = "free some: with no room nothing is recorded, and so nothing is done"
        return Finding("free space", f"{free:.1%}", NOTE, mend)
    return Finding("free space", f"{free:.0%}")


# --- what takes the key ---------------------------------------------------------------------------


def _inside(session: Session) -> list[Finding]:
    unsigned = files.unsigned(session.home)
    try:
        with session.unchecked_store() as store:
            return [
                Finding("opens", f"yes, root key epoch {store.keyring.root_epoch}"),
                _assurance(store.configuration.provider),
                _vaults(session, store),
                *(f for vault in store.vaults() for f in _vault(session, vault, unsigned)),
            ]
    except MunimentError as error:
        return [Finding("opens", error.message, WRONG, error.hint)]


def _assurance(provider: str) -> Finding:
    from eventstore.rootkey import FileRootKey, PassphraseRootKey

    kept = PassphraseRootKey if provider == "passphrase" else FileRootKey
    return Finding("a purge promises", kept.assurance)


def _vaults(session: Session, store: Store) -> Finding:
    try:
        session.check_vaults(store)
    except RolledBack as error:
        return Finding("vaults seen", error.message, WRONG, error.hint)
    return Finding("vaults seen", "none is missing")


def _vault(session: Session, vault: Vault, unsigned: dict[Path, int]) -> list[Finding]:
    logs, name = (vault.changes, vault.access), _label(vault)
    findings = [_lag(name, log, unsigned) for log in logs]
    findings += [_seen(session, name, log) for log in logs]
    if pending := vault.keeping.unfinished():
        positions = ", ".join(f"#{position}" for position in pending)
        mend = "any command on the vault finishes it; if it stays, mend the disk"
        findings.append(Finding(f"{name} erasures", f"pending: {positions}", WRONG, mend))
    else:
        findings.append(Finding(f"{name} erasures", "none pending"))
    findings.append(_unanchored(session, name, logs))
    findings += [_anchors(session, name, log) for log in logs]
    return findings


def _label(vault: Vault) -> str:
    """The name of a vault that answers; of one that ended, its id with it: names are used again."""
    settings = vault.settings
    if settings.deleted_date is None:
        return vault.name
    return f"{vault.name} {'purged' if settings.purged else 'deleted'} {vault.id[:8]}"


def _anchors(session: Session, name: str, log: Log) -> Finding:
    """How far others vouch, by the policy that the settings name; the log must extend all of it."""
    from cli.moments import rfc3339
    from eventstore.anchors import kept
    from eventstore.checkpoint import parse_checkpoint
    from eventstore.errors import CheckpointMalformed

    check = f"{name} {log.identity.kind_name} anchors"
    mend = "muniment checkpoint publish --policy FILE, or `muniment serve --publish-policy FILE`"
    try:
        found = [parse_checkpoint(anchor.note) for anchor in kept(log.path)]
        newest = None if session.trust.is_empty else session.trust.newest(log.path)
    except CheckpointMalformed as problem:
        return Finding(check, problem.message, WRONG, "`muniment verify` says more")
    with log.snapshot() as snapshot:
        size, extends = snapshot.size, snapshot.tree.extends
        if not all(extends(one.size, one.root) for one in found[-1:]):
            return Finding(check, "the log does not extend its newest anchor", WRONG, "verify it")
    if session.trust.is_empty:
        told = f"{len(found):,} kept; without --policy or --tsa-roots none is believed"
        return Finding(check, told, NOTE if found else OK)
    if newest is None:
        return Finding(check, f"none; all {size:,} records are unanchored", NOTE, mend)
    told = f"{newest.size:,} records by {rfc3339(newest.seen.time)} ({newest.seen.source})"
    if newest.size == size:
        return Finding(check, f"{told}, which is all")
    return Finding(check, f"{told}; {size - newest.size:,} unanchored", NOTE, mend)


def _seen(session: Session, name: str, log: Log) -> Finding:
    """The log against what this account has seen of it."""
    check = f"{name} {log.identity.kind_name} seen"
    try:
        seen = session.kept.newest(log.identity.origin)
        session.check_seen(log)
    except RolledBack as error:
        return Finding(check, error.message, WRONG, error.hint)
    except OSError as error:
        mend = f"let this account use {session.kept.place}"
        return Finding(check, f"cannot be read: {error.strerror}", NOTE, mend)
    if seen is None:
        return Finding(check, "nothing yet")
    return Finding(check, f"{seen.size:,} records, which it continues")


def _unanchored(session: Session, name: str, logs: Sequence[Log]) -> Finding:
    """How much nobody else could vouch for, as far as this account published it."""
    check, mend = f"{name} unanchored", "muniment checkpoint publish DIR, where others keep it"
    told = []
    for log in logs:
        published = _published(session, log)
        if missing := log.head().size - published:
            told.append(f"{missing:,} of {log.identity.kind_name} since #{published:,}")
    if not told:
        return Finding(check, "nothing: all was published")
    return Finding(check, ", ".join(told), NOTE, mend)


def _published(session: Session, log: Log) -> int:
    """How many records the checkpoint covers that was published last, if the log extends it."""
    from cli.kept import PUBLISHED

    try:
        published = session.kept.newest(log.identity.origin, PUBLISHED)
    except OSError:
        return 0
    if published is None:
        return 0
    with log.snapshot() as snapshot:
        return published.size if snapshot.tree.extends(published.size, published.root) else 0


def _lag(name: str, log: Log, unsigned: dict[Path, int]) -> Finding:
    """What no checkpoint covered before the log was opened."""
    check, size = f"{name} {log.identity.kind_name}", log.head().size
    behind = unsigned.get(log.path, -1)
    if not behind:
        return Finding(check, f"{size:,} records, all under the signed checkpoint")
    said = "no readable checkpoint" if behind < 0 else f"{behind:,} of them not signed"
    mend = "opening the log signs the rest: run `muniment verify`, then this again"
    return Finding(check, f"{size:,} records, {said}", WRONG, mend)
