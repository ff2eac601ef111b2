"""Start an Azurite anew: `python azurite.py DIRECTORY PORT NODE SCRIPT`.

It is what an operator would declare as the command of the provider `azurite`: end the old one, start
another with the accounts that stand in `DIRECTORY/azurite.env`, and return when it listens.  Blobs
stay in the directory.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 40.0


def stop(directory: Path) -> None:
    """End the Azurite of *directory*, if one was started."""
    file = directory / "azurite.pid"
    if not file.exists():
        return
    group, port = map(int, file.read_text().split())
    file.unlink()
    with suppress(ProcessLookupError):
        # The group, for `node` may be a program that begins another.  It writes down what it keeps
        # when it is asked to end, and otherwise every few seconds.
        os.killpg(group, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while _listens(port):
        if time.monotonic() > end:
            sys.exit(1)
        time.sleep(0.02)


def start(directory: Path, port: int, node: str, script: str) -> None:
    """Start it, and wait until it listens."""
    name, _, told = (directory / "azurite.env").read_text().strip().partition("=")
    with (directory / "azurite.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(node, script, "--blobPort", str(port), "--location", directory / "blobs"),
                *("--skipApiVersionCheck", "--silent", "--disableTelemetry"),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(directory), name: told.strip('"')},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (directory / "azurite.pid").write_text(f"{process.pid} {port}")
    end = time.monotonic() + PATIENCE
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(1)
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    place = Path(sys.argv[1])
    stop(place)
    start(place, int(sys.argv[2]), *sys.argv[3:])
