"""The installed `muniment`, run as people and programs run it: by streams, or at a terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("muniment")
_PATIENCE = 30.0
_STYLES = re.compile(r"\x1b\[[0-9;]*[mK]")


@dataclass(frozen=True)
class Ran:
    """What a command returned and wrote."""

    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def told(self) -> str:
        return self.err.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error object of `-o json`, which is the last line."""
        return json.loads(self.told.splitlines()[-1])["error"]


class Terminal:
    """A home directory, a store's place in it, and no setting from outside."""

    def __init__(self, directory: Path, program: Sequence[str | Path] = (SCRIPT,)) -> None:
        self.directory = directory
        self._program = program
        self.home = directory / "store"
        self.environ = {
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "MUNIMENT_HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "TZ": "UTC",
        }

    def run(
        self, *arguments: str, stdin: bytes | str = b"", environ: Mapping[str, str] | None = None
    ) -> Ran:
        """Run a command without any terminal."""
        child = subprocess.run(
            [*self._program, *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=self.directory,
            env={**self.environ, **(environ or {})},
            timeout=_PATIENCE,
            start_new_session=True,
        )
        return Ran(child.returncode, child.stdout, child.stderr)

    def must(
        self, *arguments: str, stdin: bytes | str = b"", environ: Mapping[str, str] | None = None
    ) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*arguments, stdin=stdin, environ=environ)
        assert ran.status == 0, ran
        return ran

    def type(
        self,
        *arguments: str,
        answers: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        columns: int = 80,
        program: str = "",
    ) -> tuple[int, str]:
        """Run a command, or *program*, at a terminal; type each answer once its prompt stands there.

        Give the exit status and all that stood on the screen.
        """
        master, slave = pty.openpty()
        child = subprocess.Popen(
            [*([program] if program else self._program), *arguments],
            cwd=self.directory,
            env={**self.environ, "COLUMNS": str(columns), **(environ or {})},
            preexec_fn=lambda: os.login_tty(slave),
        )
        os.close(slave)
        screen = _converse(master, list((answers or {}).items()))
        os.close(master)
        return child.wait(_PATIENCE), screen

    def json(self, *arguments: str, stdin: bytes | str = b"") -> Any:
        return self.must(*arguments, "-o", "json", stdin=stdin).json

    def check(self) -> None:
        """The history verifies and every view equals its rebuild."""
        self.must("verify", "--every-signature")
        for vault in self.json("vault", "list"):
            rebuilt = self.json("rebuild", "--vault-name", vault["name"])
            assert rebuilt["viewsWereRight"], rebuilt


def _converse(master: int, answers: list[tuple[str, str]]) -> str:
    screen, seen, end = b"", 0, time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            read = os.read(master, 65536)
        except OSError:
            break
        if not read:
            break
        screen += read
        if answers and answers[0][0].encode() in screen[seen:]:
            seen = len(screen)
            os.write(master, answers.pop(0)[1].encode())
    assert not answers, (answers, screen)
    return _STYLES.sub("", screen.decode()).replace("\r\n", "\n")
