"""What the service says to any stranger: whether it is alive and ready, and what it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from server.arm_openapi import arm_openapi
from server.http import Request, Response, json_response
from server.openapi import openapi

if TYPE_CHECKING:
    from server.publisher import Publisher


class Pages:
    """The pages of one worker, and those that *others* make, by their paths."""

    def __init__(
        self,
        ready: Callable[[], bool],
        publisher: Publisher | None,
        others: Mapping[str, Callable[[], Response]],
    ) -> None:
        self._ready = ready
        self._publisher = publisher
        self._others = others

    def at(self, request: Request) -> Response | None:
        """The page that *request* asks for; None if it asks for something else."""
        if request.path == "/healthz":
            return json_response(200, {"status": "alive"})
        if request.path == "/readyz":
            ready = self._ready()
            return json_response(200 if ready else 503, {"ready": ready, **self._unanchored()})
        if request.path == "/openapi.json":
            return _description()
        if request.path == "/openapi-control-plane.json":
            return _description_of_control_plane()
        make = self._others.get(request.path)
        return None if make is None else make()

    def _unanchored(self) -> dict[str, object]:
        """What nobody outside vouches for yet, of all vaults; no vault is named to who may not ask."""
        if self._publisher is None:
            return {}
        tails = self._publisher.tails
        if tails is None:
            return {"unanchored": None}
        records = sum(tail.records for tail in tails)
        seconds = max((tail.seconds for tail in tails), default=0.0)
        return {"unanchored": {"records": records, "seconds": round(seconds)}}


@cache
def _description() -> Response:
    """What the service offers; made once, since any stranger may ask for it."""
    return json_response(200, openapi())


@cache
def _description_of_control_plane() -> Response:
    return json_response(200, arm_openapi())
