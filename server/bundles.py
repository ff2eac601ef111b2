"""Answers as Key Vault's JSON: its members, in its order.  Pure.

What is absent is left out and never null: Key Vault's .NET client fails on `"exp": null`.  Only the
`nextLink` of a list is always there.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

from vault.answers import Attributes, Backup, SecretBundle


class Form(NamedTuple):
    """What identifiers begin with (scheme and host), and what the api-version shows."""

    base: str
    recoverable_days: bool


def secret(form: Form, bundle: SecretBundle, *, versioned: bool = True) -> dict[str, Any]:
    """A secret, deleted or not; its identifier has a version unless it stands in a list of names."""
    shown: dict[str, Any] = {}
    if bundle.deletion is not None:
        shown["recoveryId"] = f"{form.base}/deletedsecrets/{bundle.name}"
        shown["deletedDate"] = bundle.deletion.deleted_date
        shown["scheduledPurgeDate"] = bundle.deletion.scheduled_purge_date
    if bundle.value is not None:
        shown["value"] = bundle.value
    if bundle.content_type is not None:
        shown["contentType"] = bundle.content_type
    identifier = f"{form.base}/secrets/{bundle.name}"
    shown["id"] = f"{identifier}/{bundle.version}" if versioned and bundle.version else identifier
    if bundle.managed:
        shown["managed"] = True
    shown["attributes"] = attributes(form, bundle.attributes)
    if bundle.tags is not None:
        shown["tags"] = bundle.tags
    return shown


def page(items: list[dict[str, Any]], next_link: str | None) -> dict[str, Any]:
    """One page of a list."""
    return {"value": items, "nextLink": next_link}


def backup(answer: Backup) -> dict[str, str]:
    """A blob, in base64url without padding."""
    return {"value": urlsafe_b64encode(answer.blob).rstrip(b"=").decode()}


def attributes(form: Form, given: Attributes) -> dict[str, Any]:
    """The attributes of anything."""
    shown: dict[str, Any] = {"enabled": given.enabled}
    if given.nbf is not None:
        shown["nbf"] = given.nbf
    if given.exp is not None:
        shown["exp"] = given.exp
    if given.created is not None:
        shown["created"] = given.created
    if given.updated is not None:
        shown["updated"] = given.updated
    shown["recoveryLevel"] = given.recovery_level
    if form.recoverable_days:
        shown["recoverableDays"] = given.recoverable_days
    return shown
