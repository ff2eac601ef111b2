"""What a request leaves in the log whatever becomes of it: who asked, and that he was refused.  Pure."""

from __future__ import annotations

from typing import Any

from eventstore.access_events import RequestRefused
from eventstore.errors import (
    AuditorKeyInvalid,
    FieldUnknown,
    KeyErased,
    LogConflict,
    MunimentError,
    RequestIdReused,
)
from eventstore.event import Context
from eventstore.record import Draft
from vault import names
from vault.caller import Caller
from vault.commands import Command
from vault.points import REFUSALS
from vault.refusals import VaultError

REFUSED = (
    VaultError,
    LogConflict,
    RequestIdReused,
    KeyErased,
    AuditorKeyInvalid,
    FieldUnknown,
    *REFUSALS,
)
"""What refuses a request, and so is recorded; all else is a failure."""


def context(caller: Caller, rule: str, *, outcome: str = "ok") -> Context:
    """Who asked, and the *rule* that let him."""
    return Context(
        principal=caller.principal,
        auth=caller.auth,
        rule=rule,
        outcome=outcome,
        address=caller.address,
        agent=caller.agent,
        request=caller.request,
        application=caller.application,
    )


def store_owner(caller: Caller) -> Context:
    """Who has the store itself, and needs no other rule."""
    return Context(principal=caller.principal, auth=caller.auth, rule="store owner")


def refused(caller: Caller, command: Command[Any], refusal: MunimentError, at: int) -> Draft:
    """The event for `access` that *command* was refused when `changes` had *at* records."""
    event = RequestRefused(
        operation=command.records,
        at=at,
        name=writable(getattr(command, "name", "") or getattr(refusal, "about", ""))[:127],
        version=writable(getattr(command, "version", ""))[:32],
    )
    rule = getattr(refusal, "rule", "")
    return Draft(context(_writable_caller(caller), rule, outcome=refusal.code), event)


def writable(text: str) -> str:
    """*text* as UTF-8 can write it.

    A refused name may be no such text (an argument that is not UTF-8 gives lone surrogates), and the
    refusal must be recorded all the same.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _writable_caller(caller: Caller) -> Caller:
    texts = (
        caller.principal,
        caller.auth,
        caller.address,
        caller.agent,
        caller.request,
        caller.application,
    )
    told = [writable(text)[: names.MAX_CALLER_TEXT] for text in texts]
    return Caller(
        principal=told[0],
        auth=told[1],
        address=told[2],
        agent=told[3],
        request=told[4],
        application=told[5],
    )
