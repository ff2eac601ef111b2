"""Publishing checkpoints to witnesses and time-stamping authorities, from the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.problems import NotPublished, Usage
from cli.session import Session
from cli.shapes import Shape
from cli.tables import Column

if TYPE_CHECKING:
    from eventstore.log import Log
    from server.publishing import Outcome, Voice

_COLUMNS = [
    Column("LOG", "log"),
    Column("RECORDS", "size"),
    Column("ANCHORED", "anchored"),
    Column("ASKED", "_asked"),
]


def publish_outside(
    session: Session, kinds: tuple[str, ...], tsa: tuple[str, ...], ca: Path | None
) -> None:
    """Publish the logs of the chosen vaults, and tell who vouched.

    Raise Usage, NotPublished if not all that is asked for came, and WitnessDisagrees.
    """
    if session.trust.is_empty:
        raise Usage("say whom to ask: --policy FILE with witnesses, or --tsa URL with --tsa-roots")
    if tsa and session.trust.authorities is None:
        raise Usage("--tsa needs --tsa-roots: a time stamp that cannot be checked is worth nothing")
    outcomes = _publish(session, kinds, tsa, ca or session.settings.path("ca"))
    shapes = [_shape(outcome) for outcome in outcomes]
    if session.output.for_people and not session.output.has_query:
        asked = [", ".join(_words(voice) for voice in one.voices) for one in outcomes]
        shapes = [shape | {"_asked": words} for shape, words in zip(shapes, asked, strict=True)]
    session.output.emit(shapes, _COLUMNS)
    _refuse(outcomes)


def _publish(
    session: Session, kinds: tuple[str, ...], tsa: tuple[str, ...], ca: Path | None
) -> list[Outcome]:
    try:
        from server.outside import Outside
        from server.publishing import publish
    except ModuleNotFoundError as missing:
        from eventstore.trust import EvidenceExtraMissing

        raise EvidenceExtraMissing(f"not installed: {missing.name}") from None
    outside = Outside(ca)
    with session.store() as store:
        name = session.vault_name()
        vaults = store.vaults() if name is None else [store.vault(name)]
        logs: list[Log] = [log for vault in vaults for log in (vault.changes, vault.access)]
        asked = [log for log in logs if log.identity.kind_name in kinds]
        return [publish(log, session.trust, tsa, outside) for log in asked]


def _refuse(outcomes: list[Outcome]) -> None:
    """Raise the worst of what happened, if something did."""
    from server.publishing import WitnessDisagrees

    for outcome in outcomes:
        for problem in outcome.problems:
            if isinstance(problem, WitnessDisagrees):
                raise WitnessDisagrees(f"{outcome.origin}: {problem.message}")
    if missing := [outcome for outcome in outcomes if not outcome.anchored]:
        told = "; ".join(problem.message for one in missing for problem in one.problems)
        raise NotPublished(told or "nobody who is believed vouches for it yet")


def _shape(outcome: Outcome) -> Shape:
    checkpoint = outcome.checkpoint
    return {
        "anchored": outcome.anchored,
        "asked": [_voice(voice) for voice in outcome.voices],
        "endorsement": outcome.second,
        "log": outcome.kind,
        "note": checkpoint.note,
        "origin": outcome.origin,
        "root": checkpoint.root.hex(),
        "size": checkpoint.size,
    }


def _voice(voice: Voice) -> Shape:
    problem = voice.problem
    return {
        "code": problem.code if problem else None,
        "message": problem.message if problem else None,
        "who": voice.who,
    }


def _words(voice: Voice) -> str:
    return voice.who if voice.problem is None else f"{voice.who} ({voice.problem.code})"
