"""A service without a store, to try what starts and replaces it.

`/slow` answers after a second; every other path says which process answers; a body
is read as the real one reads it; `/fall` and `/raise` fail.  A file `fails` in its home keeps it from starting, as a wrong root key would.
"""

import asyncio
import os
from pathlib import Path

from eventstore.errors import RootKeyWrong
from server.reading import BodyTooLarge, BodyTooSlow, CallerGone, read_body
from server.serving import draining, options_from, passphrase_of


def application():
    options = options_from()
    if (Path(options.home) / "fails").exists():
        raise RootKeyWrong
    return Small(options)


class Small:
    def __init__(self, options):
        self.options = options
        self.passphrase = passphrase_of(options)

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        status, text = await self._answer(scope, receive)
        headers = [(b"content-length", str(len(text)).encode())]
        if draining.began:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _live(self, receive, send):
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _answer(self, scope, receive):
        if scope["path"] == "/slow":
            await asyncio.sleep(1)
        if scope["path"] == "/fall":
            asyncio.get_running_loop().call_soon(_fall)
        if scope["path"] == "/raise":
            _fall()
        if scope["path"] == "/passphrase":
            return 200, b"none" if self.passphrase is None else self.passphrase()
        try:
            body = await read_body(receive, self.options.body_limit, self.options.body_seconds)
        except BodyTooLarge:
            return 413, b""
        except (BodyTooSlow, CallerGone):
            return 408, b""
        return 200, f"{os.getpid()} {len(body)}".encode()


def _fall():
    raise ValueError("correct horse")
