"""Ids in Azure's form for a store of one's own.  Pure.

A store stands for a subscription, whose id follows from the store's: the same on every host that
holds it, and on no two stores.  A vault that names no resource group is in `muniment`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

RESOURCE_GROUP: Final = "muniment"
LOCATION: Final = "local"


def subscription_id(store_id: bytes) -> str:
    """A GUID (RFC 9562, version 8) that only this store has."""
    digest = bytearray(sha256(b"muniment subscription\0" + store_id).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def vault_id(subscription: str, group: str, vault: str) -> str:
    return _resource_id(subscription, group, "Microsoft.KeyVault/vaults", vault)


def network_id(subscription: str, group: str, network: str) -> str:
    return _resource_id(subscription, group, "Microsoft.Network/virtualNetworks", network)


def _resource_id(subscription: str, group: str, kind: str, name: str) -> str:
    place = f"/subscriptions/{subscription}/resourceGroups/{group or RESOURCE_GROUP}"
    return f"{place}/providers/{kind}/{name}"
