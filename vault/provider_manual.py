"""The provider `manual`: a program of the operator's says the keys, in one line of JSON each way.

It is given `{"op":"list","resourceId":...}` or `{"op":"regenerate","resourceId":...,"keyName":...}`
on standard input, and answers `{"keys":{"key1":...}}` or `{"error":"a-code"}` on standard output.
No key stands in an argument, in its environment, or in a message of ours.
"""

from __future__ import annotations

import re

import msgspec

from vault import provider_programs
from vault.providers import last_segment
from vault.refusals import ProviderRefused, ProviderUnavailable

# Shorter than a key, and with none of the capitals and signs that a key has.
_CODE = re.compile(r"[a-z][a-z0-9.-]{0,39}", re.ASCII)


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: dict[str, str] | None = None
    error: str | None = None

    def __repr__(self) -> str:
        return "_Answer(...)"


class ManualProvider:
    """Asks *program*, an argument list, for no longer than *seconds* each time."""

    def __init__(self, program: tuple[str, ...], seconds: float) -> None:
        self._program = program
        self._seconds = seconds

    def list_keys(self, resource_id: str) -> dict[str, str]:
        return self._ask({"op": "list", "resourceId": resource_id})

    def regenerate_key(self, resource_id: str, key_name: str) -> dict[str, str]:
        return self._ask({"op": "regenerate", "resourceId": resource_id, "keyName": key_name})

    def account_name(self, resource_id: str) -> str:
        return last_segment(resource_id)

    def _ask(self, question: dict[str, str]) -> dict[str, str]:
        line = msgspec.json.encode(question) + b"\n"
        told = _read(provider_programs.ask(self._program, line, self._seconds))
        if told is None or (told.keys is None) is (told.error is None):
            raise ProviderUnavailable("the program's answer is neither keys nor an error")
        if told.error is not None:
            code = told.error if _CODE.fullmatch(told.error) else "an error that is no code"
            raise ProviderRefused(f"the program refuses: {code}")
        return told.keys or {}


def _read(answer: bytes) -> _Answer | None:
    # Given out and not raised, so that no failure of a parser holds on to the bytes.
    try:
        return msgspec.json.decode(answer, type=_Answer)
    except (ValueError, RecursionError):
        return None
