"""Whether a request would be let in and by which rule, and from where a principal is.  Pure.

Both ask the rules that a request meets, and never a copy of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from projections.rows import Boundary, Rows, Settings
from vault import access, names, ranges
from vault.answers import Explanation
from vault.boundary import ALLOW, TRUSTED, Rules
from vault.caller import Caller
from vault.history_commands import Explain
from vault.refusals import (
    AccessDenied,
    OutsideBoundary,
    PermissionUnknown,
    PublicAccessDisabled,
    RangeInvalid,
    VaultError,
)

ANYWHERE = "anywhere"
STORAGE = "storage"
_NEEDED = {needs[0]: needs for needs in access.STORAGE_NEEDS.values()}
"""What lets somebody do what a storage permission is for: who may set may update too."""

_KNOWN = {"": access.SECRET_PERMISSIONS, STORAGE: access.STORAGE_PERMISSIONS}


def explain(rows: Rows, settings: Settings, boundary: Boundary, command: Explain) -> Explanation:
    """What the boundary and the policies say of *command*.  Raise what is wrong with it."""
    caller = _caller(command)
    kind, permission = _permission(command.permission)
    outcomes = _ended(settings)
    boundary_told, policy_told, boundary_allows = "", "", True
    try:
        admitted = Rules(boundary).admit(caller)
        boundary_told = admitted.rule or _unbounded(boundary, caller)
    except (OutsideBoundary, PublicAccessDisabled) as refusal:
        boundary_told = _refused(refusal)
        boundary_allows = False
        outcomes.append(refusal.code)
    try:
        policy_told = (
            access.permit_storage(rows, settings, caller, _NEEDED[permission])
            if kind == STORAGE
            else access.permit(rows, settings, caller, permission)
        )
    except AccessDenied as refusal:
        policy_told = refusal.message
        outcomes.append(refusal.code)
    return Explanation(
        allowed=not outcomes,
        boundary=boundary_told,
        boundary_allows=boundary_allows,
        policy=policy_told,
        policy_allows=AccessDenied.code not in outcomes,
        outcome=outcomes[0] if outcomes else "ok",
    )


def _permission(text: str) -> tuple[str, str]:
    """What is meant, and of which kind: `get` is one for secrets, `storage/get` one for storage."""
    kind, _, word = text.lower().rpartition("/")
    if word not in _KNOWN.get(kind, ()):
        known = ", ".join(f"{kind}/{word}".lstrip("/") for kind in _KNOWN for word in _KNOWN[kind])
        raise PermissionUnknown(f"unknown permission {text[:40]!r}; known: {known}")
    return kind, word


def _ended(settings: Settings) -> list[str]:
    """What a vault that is deleted, or purged, answers before it asks any rule."""
    if settings.deleted_date is None:
        return []
    return ["vault.not-found" if settings.purged else "vault.is-deleted"]


def _caller(command: Explain) -> Caller:
    if command.name:
        names.check_name(command.name)
    if command.address:
        try:
            ip_address(ranges.plain(command.address))
        except ValueError:
            raise RangeInvalid(f"{command.address[:60]!a} is not an IP address") from None
    caller = Caller(
        principal=command.principal,
        auth="explained",
        address=command.address,
        application=command.application,
        arrival=command.arrival,
    )
    names.check_caller(caller)
    return caller


def _unbounded(boundary: Boundary, caller: Caller) -> str:
    if caller.arrival is None:
        return "over no network: the boundary is not asked"
    return f"default action {ALLOW} (boundary #{boundary.at})"


def _refused(refusal: VaultError) -> str:
    return f"{refusal.message}: {refusal.rule}"


# --- from where -----------------------------------------------------------------------------------


def origins(boundary: Boundary, object_id: str, application_id: str = "") -> tuple[str, ...]:
    """From where a principal is let in over a network, if its permissions allow anything."""
    if boundary.public_network_access and boundary.default_action == ALLOW:
        return (ANYWHERE,)
    listed = _listed(boundary) if boundary.public_network_access else ()
    return (*listed, *_trusted(boundary, object_id, application_id))


def _listed(boundary: Boundary) -> Iterator[str]:
    yield from (f"address {rule}" for rule in boundary.ip_rules)
    known = {
        ranges.subnet_id(network, subnet).lower()
        for network in boundary.networks
        for subnet in network.subnets
    }
    # From a subnet that nobody has defined nobody comes.
    yield from (f"subnet {one.id}" for one in boundary.subnet_rules if one.id.lower() in known)


def _trusted(boundary: Boundary, object_id: str, application_id: str) -> Iterator[str]:
    for bound in boundary.trusted_services if boundary.bypass == TRUSTED else ():
        told = f"trusted service {bound.service}"
        if bound.object_id:
            if bound.object_id == object_id:
                yield told
        elif not application_id:
            yield f"{told} through {bound.application_id}"
        elif bound.application_id.lower() == application_id.lower():
            yield told
