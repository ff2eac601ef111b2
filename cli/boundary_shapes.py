"""The boundary as `az keyvault network-rule list` prints it, and as rows for people.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cli.tables import cell, counted

if TYPE_CHECKING:
    from eventstore.rule_events import Subnet, SubnetRule, TrustedService, VirtualNetwork
    from vault.answers import Boundary

Shape = dict[str, Any]

LISTS = ("ipRules", "virtualNetworkRules", "networks", "trustedServices")
"""Lists in which a change is told by what was taken away and what was added."""

_SHOWN = 10


def boundary(answer: Boundary) -> Shape:
    """All of it."""
    return rules(answer) | {
        "networks": [network(one) for one in answer.networks],
        "trustedServices": [trusted_service(one) for one in answer.trusted_services],
    }


def rules(answer: Boundary) -> Shape:
    """What Key Vault's networkAcls say, and what is beside them."""
    return {
        "allowPrivateRanges": answer.allow_private_ranges,
        "bypass": answer.bypass,
        "defaultAction": answer.default_action,
        "ipRules": [{"value": rule} for rule in answer.ip_rules],
        "position": answer.position,
        "publicNetworkAccess": access(answer.public_network_access),
        "virtualNetworkRules": [subnet_rule(rule) for rule in answer.subnet_rules],
    }


def access(is_enabled: bool) -> str:
    return "Enabled" if is_enabled else "Disabled"


def subnet_rule(rule: SubnetRule) -> Shape:
    return {"id": rule.id, "ignoreMissingVnetServiceEndpoint": rule.ignore_missing}


def network(one: VirtualNetwork) -> Shape:
    return {"id": one.id, "subnets": [subnet(part) for part in one.subnets]}


def subnet(one: Subnet) -> Shape:
    """A subnet, and only what it asks of a caller."""
    asked = {
        "ranges": list(one.ranges),
        "listener": one.listener,
        "interface": one.interface,
        "vlan": one.vlan,
        "namespace": one.namespace,
    }
    return {"name": one.name, **{name: fact for name, fact in asked.items() if fact}}


def trusted_service(one: TrustedService) -> Shape:
    who = {"applicationId": one.application_id, "objectId": one.object_id}
    return {"service": one.service, **{name: fact for name, fact in who.items() if fact}}


def part(one: object) -> Any:
    """A part of the boundary that stands in a list; anything else as it is."""
    kind = type(one).__name__
    made: dict[str, Any] = {
        "SubnetRule": subnet_rule,
        "VirtualNetwork": network,
        "TrustedService": trusted_service,
    }
    return made[kind](one) if kind in made else one


# --- for people -----------------------------------------------------------------------------------


def rows(shape: Shape) -> list[Shape]:
    """Everything that decides who is let in, a row each."""
    found = [
        {"rule": name, "value": shape[name], "note": ""}
        for name in ("publicNetworkAccess", "defaultAction", "bypass")
    ]
    found += [{"rule": "address", "value": one["value"], "note": ""} for one in shape["ipRules"]]
    for one in shape["virtualNetworkRules"]:
        missing = one["ignoreMissingVnetServiceEndpoint"]
        note = "need not be defined" if missing else ""
        found.append({"rule": "subnet", "value": one["id"], "note": note})
    return found


def subnet_rows(networks: Iterable[Shape]) -> list[Shape]:
    """A row for each subnet of each network."""
    found = []
    for one in networks:
        for each in one["subnets"] or [{"name": ""}]:
            asked = {name: fact for name, fact in each.items() if name != "name"}
            found.append({"network": one["id"], "subnet": each["name"], "callers": asked})
    return found


def summary(shape: Shape) -> Shape:
    """How it stands, without its lists."""
    return {
        "publicNetworkAccess": shape["publicNetworkAccess"],
        "defaultAction": shape["defaultAction"],
        "bypass": shape["bypass"],
        "rules": f"{counted(len(shape['ipRules']), 'address rule')}, "
        + counted(len(shape["virtualNetworkRules"]), "virtual network rule"),
        "event": f"#{shape['position']}",
    }


def told(one: Any) -> str:
    """A part of a list in one word."""
    if not isinstance(one, dict):
        return cell(one)
    if "service" in one:
        return f"{one['service']}={one.get('applicationId') or one.get('objectId')}"
    if "subnets" in one:
        return str(one["id"]) + "".join(f"/subnets/{_asks(each)}" for each in one["subnets"])
    missing = one.get("ignoreMissingVnetServiceEndpoint")
    return f"{one['id']}{' (need not be defined)' if missing else ''}"


def _asks(each: Shape) -> str:
    asked = (
        f"{name}={'+'.join(fact) if isinstance(fact, list) else fact}"
        for name, fact in each.items()
        if name != "name"
    )
    return f"{each['name']}({', '.join(asked)})"


def change(gone: Sequence[Any], new: Sequence[Any]) -> str:
    """What was added to a list and what was taken away, and of many how many."""
    sides = (("+", new), ("-", gone))
    return " ".join(
        f"{sign}{told(one)}" for sign, side in sides for one in [*side[:_SHOWN]]
    ) + "".join(
        f" and {sign}{len(side) - _SHOWN:,} more" for sign, side in sides if len(side) > _SHOWN
    )


def few(words: Sequence[str], most: int = 3) -> str:
    """The first of many words, and how many more there are."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more:,} more" if more > 0 else "")
