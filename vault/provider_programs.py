"""Programs that the operator declared: run without a shell, with nothing of ours, and not for ever.

A program sees a path, a language and what it is given on standard input.  What it says on standard
error goes nowhere, for it might quote a key; so does what it says beyond a limit.  When its time is
over it is killed with all that it began.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import Final

from vault.refusals import ProviderUnavailable

MAX_ANSWER: Final = 64 * 1024
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_LOOK = 0.01


def ask(program: tuple[str, ...], given: bytes, seconds: float) -> bytes:
    """What *program* answers to *given*; whatever it began is ended with it.

    Raise ProviderUnavailable if it cannot be run, takes longer, says too much, or fails.
    """
    status, answer = _asked(program, given, seconds)
    if status == 0:
        return answer
    del answer  # what is raised holds on to this frame
    raise ProviderUnavailable(f"{program[0]} ended with status {status}")


def _asked(program: tuple[str, ...], given: bytes, seconds: float) -> tuple[int, bytes]:
    process = _begun(program, answers=True)
    try:
        with suppress(BrokenPipeError):  # it need not listen to the end
            os.write(_fd(process.stdin), given)
        _close(process.stdin)
        answer = _heard(process, program[0], time.monotonic() + seconds)
    finally:
        _end(process)
    return process.returncode, answer


def carry_out(program: tuple[str, ...], seconds: float) -> None:
    """Run *program* to its end; what it left running goes on.  Raise ProviderUnavailable."""
    process = _begun(program, answers=False)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        raise ProviderUnavailable(f"{program[0]} took more than {seconds:g} seconds") from None
    if status:
        raise ProviderUnavailable(f"{program[0]} ended with status {status}")


def _begun(program: tuple[str, ...], *, answers: bool) -> subprocess.Popen[bytes]:
    way = subprocess.PIPE if answers else subprocess.DEVNULL
    try:
        return subprocess.Popen(
            program,
            stdin=way,
            stdout=way,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as problem:
        raise ProviderUnavailable(f"{program[0]}: {problem.strerror}") from None


def _heard(process: subprocess.Popen[bytes], name: str, end: float) -> bytes:
    """All that the program said until it ended: what it began may hold the pipe for longer."""
    heard, fd = b"", _fd(process.stdout)
    os.set_blocking(fd, False)
    waiting = select.poll()  # select() takes no number above 1,023, and a service has as many
    waiting.register(fd, select.POLLIN)
    while True:
        # Looked at before the last read, so that nothing is said between the two.
        ended = _has_ended(process)
        while (part := _read(fd)) and len(heard) <= MAX_ANSWER:
            heard += part
        if len(heard) > MAX_ANSWER:
            heard = part = b""
            raise ProviderUnavailable(f"{name} said more than {MAX_ANSWER:,} bytes")
        if ended:
            return heard
        if time.monotonic() > end:
            heard = part = b""
            raise ProviderUnavailable(f"{name} did not end in time")
        # A pipe that was closed is ready at once: then this would not wait.
        if part == b"":
            time.sleep(_LOOK)
        else:
            waiting.poll(_LOOK * 1000)


def _read(fd: int) -> bytes | None:
    """What there is to read; empty at the end, None if there is nothing now."""
    try:
        return os.read(fd, MAX_ANSWER)
    except BlockingIOError:
        return None


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Not reaped yet: as long as it is not, its number, which is its group's, is nobody else's.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _close(process.stdin)
    _close(process.stdout)


def _fd(pipe: object) -> int:
    number: int = pipe.fileno()  # type: ignore[attr-defined]
    return number


def _close(pipe: object) -> None:
    if pipe is not None:
        pipe.close()  # type: ignore[attr-defined]
