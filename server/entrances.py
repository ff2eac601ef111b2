"""What the service is told to listen on, and what is known of whoever comes in by it.  Pure.

A listener may be written as

    name=front,address=10.1.0.5:8443,interface=eth1,namespace=blue,vlan=12,proxy=v2

Only `name` must stand there.  Without an address it is the socket that systemd hands over by that
name.  What a listener is bound to is known of each of its callers for certain; what it is not bound
to is not guessed.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from eventstore.errors import MunimentError
from vault.caller import Arrival

UNIX: Final = "unix:"
IFNAMSIZ: Final = 16
"""The kernel's limit of an interface's name, with its last NUL."""

_NAME = re.compile(r"[0-9A-Za-z_().-]{1,90}", re.ASCII)
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.%\w-]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?", re.ASCII)
_KEYS = ("name", "address", "interface", "namespace", "vlan", "proxy")


class ListenInvalid(MunimentError):
    """A listener is not described as it has to be."""

    code = "serve.listen-invalid"
    hint = "--listen name=front,address=10.1.0.5:8443,interface=eth1"


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A listener as it is asked for.  *address* is ADDRESS, ADDRESS:PORT or unix:PATH."""

    name: str = ""
    address: str = ""
    interface: str = ""
    namespace: str = ""
    vlan: int | None = None
    proxy: Literal["", "v2"] = ""


class Entrance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A listening socket as a worker knows it, and by what way all of its callers arrive."""

    fd: int
    arrival: Arrival = Arrival()
    is_unix: bool = False
    proxy: Literal["", "v2"] = ""


def listen_of(text: str) -> Listen:
    """What *text* describes.  Raise ListenInvalid."""
    parts: dict[str, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key not in _KEYS or not value or key in parts:
            raise ListenInvalid(
                f"{part[:100]!a}: expected {', '.join(_KEYS)}, each once, as key=value"
            )
        parts[key] = value
    number = parts.pop("vlan", None)
    if number is not None and not (number.isdecimal() and len(number) <= 4):
        raise ListenInvalid(f"vlan={number[:20]}: a VLAN has a number from 1 to 4094")
    proxy = parts.pop("proxy", "")
    if proxy not in ("", "v2"):
        raise ListenInvalid(f"proxy={proxy[:20]}: only v2 is known, of the PROXY protocol")
    listen = Listen(
        vlan=None if number is None else int(number), proxy="v2" if proxy else "", **parts
    )
    return check_listen(listen)


def check_listen(listen: Listen) -> Listen:
    """*listen*, if it makes sense.  Raise ListenInvalid."""
    if not _is_name(listen.name):
        raise ListenInvalid(f"{listen.name[:100]!a} is no name of a listener")
    if listen.namespace and not _is_name(listen.namespace):
        raise ListenInvalid(f"{listen.namespace[:100]!a} is no name of a network namespace")
    if listen.interface and not (_is_name(listen.interface) and len(listen.interface) < IFNAMSIZ):
        raise ListenInvalid(f"{listen.interface[:100]!a} is no name of a network interface")
    if listen.vlan is not None and not 1 <= listen.vlan <= 4094:
        raise ListenInvalid(f"vlan={listen.vlan}: a VLAN has a number from 1 to 4094")
    if listen.vlan is not None and not listen.interface:
        raise ListenInvalid("a VLAN is one of an interface: name the interface too")
    is_bound = bool(listen.interface or listen.namespace)
    if is_bound and (not listen.address or listen.address.startswith(UNIX)):
        raise ListenInvalid("only a listener with an address is bound to an interface or namespace")
    if listen.address and not listen.address.startswith(UNIX):
        place_of(listen.address, 0)
    return listen


def check_all(listens: tuple[Listen, ...]) -> None:
    """Raise ListenInvalid if two of *listens* have one name."""
    names = [listen.name for listen in listens]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ListenInvalid(f"two listeners have the name {twice[0]}")


def place_of(address: str, port: int) -> tuple[str, int]:
    """Host and port of *address*; the port is *port* if it names none.  Raise ListenInvalid."""
    found = _PLACE.fullmatch(address)
    given = int(found[2]) if found and found[2] else port
    if found is None or given > 65535 or (found[2] and not given):
        raise ListenInvalid(f"{address[:100]!a} is not ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT")
    return found[1].strip("[]"), given


def _is_name(text: str) -> bool:
    # A namespace is a file by its name.
    return bool(_NAME.fullmatch(text)) and text not in (".", "..")
