"""`muniment prove`: that a record is in the log, or that the log only grew, for who has no copy.

The proof is a text that unrelated programs check: a C2SP tlog-proof, which shows the record's leaf
and nothing of what was sealed.  Making one and checking one take no secret key.  With `--show` chosen
fields of the record are opened before it: that takes the audit key, and is recorded as a reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.anchors import checkpoint_in, text_of, verifiers_in
from cli.command import command
from cli.moments import rfc3339
from cli.places import one_log, one_public
from cli.problems import NotPublished, Usage
from cli.session import Session
from cli.shapes import Shape

if TYPE_CHECKING:
    from eventstore.checkpoint import Checkpoint, Verifier
    from eventstore.disclosure import Shown
    from eventstore.export import PublicLog
    from eventstore.proof import Consistency, Inclusion


@command("prove", trusting=True)
@click.argument("position", metavar="[POSITION]", required=False)
@one_log
@click.option("--against", metavar="FILE", help="An older checkpoint to prove under [the newest].")
@click.option("--show", metavar="FIELDS", help="Open these too: principal,name,version or all.")
@click.option("--since", metavar="FILE", help="Prove that the log extends this checkpoint.")
@click.option("--anchored", is_flag=True, help="Prove under the first anchor that covers it.")
@click.option("--check", metavar="FILE", help="Check a proof instead; no store is needed.")
@click.option(
    "--verifier", multiple=True, metavar="LINE|FILE", help="A key to trust in --check; repeatable."
)
def prove(
    session: Session,
    position: str | None,
    log: str,
    against: str | None,
    show: str | None,
    since: str | None,
    anchored: bool,
    check: str | None,
    verifier: tuple[str, ...],
) -> None:
    """Prove that a record is in the log.

    Prints a C2SP tlog-proof of the record at POSITION.  `--check` takes the proof and a key that
    you trust, and for a proof of growth the old checkpoint: exit status 20 if it does not hold.

    With `--show` the proof also opens chosen fields of the record, and nothing else of it.
    With --policy or --tsa-roots it says between which two moments others saw the record come.
    `--anchored` proves it under a checkpoint that they signed, so that the proof itself shows when.
    """
    if check is not None:
        session.output.emit(_checked(text_of(check), since, verifier) | _cosigned(session, check))
        return
    if (position is None) == (since is None) or verifier:
        raise Usage("give a POSITION, or --since FILE, or --check FILE with --verifier")
    if show is not None and position is None:
        raise Usage("--show opens fields of the record at POSITION")
    if anchored and (against is not None or since is not None):
        raise Usage("--anchored chooses the checkpoint: give it without --against and --since")
    shown = None if show is None else _shown(session, log, position or "", show)
    with one_public(session, log) as opened:
        made: Inclusion | Consistency
        when: Shape = {}
        if since is not None:
            made = opened.prove_growth(checkpoint_in(since, "--since"))
        else:
            number = _number(position or "")
            chosen = None if against is None else checkpoint_in(against, "--against")
            if anchored:
                chosen = _anchor(session, opened, number)
            made = opened.prove(number, chosen)
            when = _when(session, opened, number)
    text = str(made) if shown is None else f"{shown}\n{made}"
    session.output.raw(text, {"log": log, "proof": text, **when})


def _anchor(session: Session, log: PublicLog, position: int) -> Checkpoint:
    """The first kept checkpoint that covers the record and that all who must vouch for did."""
    from eventstore.anchors import kept
    from eventstore.checkpoint import parse_checkpoint

    if session.trust.is_empty:
        raise Usage("--anchored needs --policy or --tsa-roots: whom to believe")
    for anchor in kept(log.directory):
        if anchor.size > position and session.trust.anchors(anchor):
            return parse_checkpoint(anchor.note)
    raise NotPublished(f"nobody who is believed vouches for record #{position} yet")


def _when(session: Session, log: PublicLog, position: int) -> Shape:
    """Between which moments others saw the record come, if it is said whom to believe."""
    from cli.anchored import bracket, brackets_of, told

    if session.trust.is_empty:
        return {}
    shape = bracket(brackets_of(session.trust, log.directory), position)
    session.terminal.note(f"#{position}: {told(shape)}")
    return shape


def _cosigned(session: Session, file: str) -> Shape:
    """Which witnesses cosigned the proof's checkpoint, and when."""
    from eventstore.disclosure import is_fact, parse_fact
    from eventstore.proof import parse

    policy = session.trust.policy
    if policy is None:
        return {}
    text = text_of(file)
    proof = parse_fact(text).inclusion if is_fact(text) else parse(text)
    by = policy.cosigned(proof.note)
    times = {name: rfc3339(at * 1_000_000) if at else None for name, at in by.items()}
    return {"cosigned": times, "quorum": policy.is_met(by)}


def _shown(session: Session, log: str, position: str, fields: str) -> Shown:
    from vault.history_commands import ShowFields

    names = tuple(name.strip() for name in fields.split(",") if name.strip())
    if not names:
        raise Usage("--show takes the names of fields: principal,name,version or all")
    asked = ShowFields(log=log, position=_number(position), fields=names)
    with session.vault() as vault:
        return vault.handle(session.caller, asked)


def _number(text: str) -> int:
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        raise Usage("POSITION is the number of a record, as `muniment log` shows it")
    return int(digits)


def _checked(text: str, since: str | None, verifier: Sequence[str]) -> Shape:
    from eventstore.disclosure import is_fact
    from eventstore.proof import Inclusion, parse

    keys = verifiers_in(verifier)
    if not keys:
        raise Usage("--check needs the key that you trust: --verifier LINE|FILE")
    if is_fact(text):
        return _fact(text, since, keys)
    proof = parse(text)
    if isinstance(proof, Inclusion):
        if since is not None:
            raise Usage("--since goes with a proof of growth, and this proves one record")
        return _record(proof, proof.check(keys))
    if since is None:
        raise Usage("this proves growth: name the old checkpoint with --since")
    old = checkpoint_in(since, "--since")
    return {**_signed(proof.check(old, keys)), "since": old.size}


def _fact(text: str, since: str | None, keys: Sequence[Verifier]) -> Shape:
    from eventstore.disclosure import parse_fact

    if since is not None:
        raise Usage("--since goes with a proof of growth, and this shows one record")
    fact = parse_fact(text)
    checkpoint, _, shown = fact.check(keys)
    fields = {path: _plain(value) for path, value in shown.items()}
    return {**_record(fact.inclusion, checkpoint), "shown": fields}


def _plain(value: Any) -> Any:
    """A field's value as JSON can say it: bytes are written in hexadecimal digits."""
    match value:
        case bytes():
            return value.hex()
        case list():
            return [_plain(one) for one in value]
        case dict():
            return {str(key): _plain(one) for key, one in value.items()}
        case _:
            return value


def _record(proof: Inclusion, checkpoint: Checkpoint) -> Shape:
    from eventstore.disclosure import read_proved

    leaf = read_proved(proof)
    return {
        **_signed(checkpoint),
        "envelope": leaf.envelope_hash.hex(),
        "position": leaf.position,
        "time": rfc3339(leaf.time),
    }


def _signed(checkpoint: Checkpoint) -> Shape:
    return {"origin": checkpoint.origin, "root": checkpoint.root.hex(), "size": checkpoint.size}
