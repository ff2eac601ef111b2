"""A program run as a child, with what it writes changed on its way to our own streams.

Where ours are a terminal the child gets one too, a pseudo-terminal, so that it behaves as if it
wrote there itself; where its input is the terminal as well, that one governs the child, and ours only
hands on what is typed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import selectors
import signal
import subprocess
import termios
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple, Protocol

from cli.problems import FileUnusable

_CHUNK = 65536
_TYPED = 1024
_IN, _OUT, _ERR = 0, 1, 2

_HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_KEYS = (signal.SIGINT, signal.SIGQUIT)
"""A terminal sends these to all who stand before it, the child among them."""


class Filter(Protocol):
    """What changes a stream: the next part of it at each chunk, and the last at its end."""

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes: ...


_Begin = Callable[..., "subprocess.Popen[bytes]"]


class _Stream(NamedTuple):
    """From where to where one stream of the child goes."""

    source: int
    target: int
    filter: Filter


def run(
    program: str,
    words: Sequence[str],
    environ: Mapping[bytes, bytes],
    filtered: Callable[[], Filter],
) -> int:
    """Run the file *program* to its end; give its exit status, 128 and the number of a signal.

    Raise OSError if it cannot be begun, and FileUnusable if its output cannot be handed on.
    """

    def begin(**streams: Any) -> subprocess.Popen[bytes]:
        # What our caller opened for it is its own; what we open is not handed on by itself.
        return subprocess.Popen(words, executable=program, env=environ, close_fds=False, **streams)

    if os.isatty(_IN) and os.isatty(_OUT):
        return _run_at_terminal(begin, filtered)
    return _run_among_us(begin, filtered)


def _run_among_us(begin: _Begin, filtered: Callable[[], Filter]) -> int:
    """The child has our input, and stands in our process group: what is typed is for it alone."""
    out, out_end = _way_to(_OUT)
    # Where both go to one place they stay in order.
    err, err_end = (out, out_end) if _are_one(_OUT, _ERR) else _way_to(_ERR)
    with _signals(_is_before_terminal()) as child_is:
        try:
            child = begin(stdout=out_end, stderr=err_end)
        finally:
            for end in {out_end, err_end}:
                os.close(end)
        child_is(child)
        streams = _streams(out, err, filtered)
        _hand_on(streams)
        return _status(child)


def _run_at_terminal(begin: _Begin, filtered: Callable[[], Filter]) -> int:
    """The child has a session of its own, before a terminal that is like ours."""
    ours = termios.tcgetattr(_IN)
    master, slave = pty.openpty()
    termios.tcsetattr(slave, termios.TCSANOW, ours)
    _resize(slave, _OUT)
    err, err_end = (master, slave) if os.isatty(_ERR) else _way_to(_ERR)
    with _signals(before_terminal=False) as child_is:
        try:
            child = begin(
                stdin=slave,
                stdout=slave,
                stderr=err_end,
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
        finally:
            for end in {slave, err_end}:
                os.close(end)
        child_is(child)
        streams = _streams(master, err, filtered)
        signal.signal(signal.SIGWINCH, lambda *_: _resize(master, _OUT))
        tty.setraw(_IN)
        try:
            _hand_on(streams, keys_to=master)
        finally:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            with suppress(termios.error):  # it is gone
                termios.tcsetattr(_IN, termios.TCSADRAIN, ours)
        status = _status(child)
        os.close(master)  # which hangs up, so not before
        return status


def _streams(out: int, err: int, filtered: Callable[[], Filter]) -> list[_Stream]:
    """What the child writes; one stream where both of its ways are one."""
    ways = [(out, _OUT)] if err == out else [(out, _OUT), (err, _ERR)]
    return [_Stream(source, target, filtered()) for source, target in ways]


def _take_terminal() -> None:
    fcntl.ioctl(_IN, termios.TIOCSCTTY, 0)


def _way_to(number: int) -> tuple[int, int]:
    """Where we read what is for *number*, and where the child writes it."""
    if not os.isatty(number):
        return os.pipe()
    master, slave = pty.openpty()
    # What ours makes of line ends and control characters is made there, once.
    tty.setraw(slave)
    _resize(slave, number)
    return master, slave


def _resize(terminal: int, like: int) -> None:
    with suppress(OSError):
        size = fcntl.ioctl(like, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def _are_one(first: int, second: int) -> bool:
    return os.path.samestat(os.fstat(first), os.fstat(second))


def _is_before_terminal() -> bool:
    """Whether what a terminal sends for keys comes to our process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _status(child: subprocess.Popen[bytes]) -> int:
    status = child.wait()
    return status if status >= 0 else 128 - status


# --- signals --------------------------------------------------------------------------------------


@contextmanager
def _signals(before_terminal: bool) -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Hand signals on to the child that is told, also those that came before it was."""
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def hand_on(number: int, _: FrameType | None) -> None:
        if child is None:
            early.append(number)
        elif not (before_terminal and number in _FROM_KEYS):
            child.send_signal(number)

    def child_is(begun: subprocess.Popen[bytes]) -> None:
        nonlocal child
        child = begun
        for number in early:
            hand_on(number, None)

    # Handlers, and not ignored: what is ignored stays so in a program that is begun.
    before = {
        number: signal.signal(number, hand_on)
        for number in (*_HANDED_ON, *_FROM_KEYS)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield child_is
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- streams --------------------------------------------------------------------------------------


def _hand_on(streams: list[_Stream], keys_to: int | None = None) -> None:
    """Hand on what the child writes until nobody can write any more, and to *keys_to* what is typed."""
    left = len(streams)
    with selectors.DefaultSelector() as waiting:
        for stream in streams:
            waiting.register(stream.source, selectors.EVENT_READ, stream)
        keys = None if keys_to is None else _Keys(keys_to, waiting)
        while left:
            for key, events in waiting.select():
                if key.fd == _IN:
                    if keys is not None:
                        keys.read()
                    continue
                if events & selectors.EVENT_WRITE and keys is not None:
                    keys.write()
                if events & selectors.EVENT_READ and not _pass(key.data):
                    waiting.unregister(key.fd)
                    left -= 1
                    if key.fd != keys_to:
                        os.close(key.fd)
                    elif keys is not None:
                        keys.end()
                        keys = None


class _Keys:
    """What is typed, on its way to the child's terminal; no more is read than that one takes."""

    def __init__(self, terminal: int, waiting: selectors.BaseSelector) -> None:
        os.set_blocking(terminal, False)
        self._terminal = terminal
        self._waiting = waiting
        self._typed = b""
        waiting.register(_IN, selectors.EVENT_READ)

    def read(self) -> None:
        self._typed = b""
        with suppress(OSError):  # our terminal is gone
            self._typed = os.read(_IN, _TYPED)
        self._waiting.unregister(_IN)
        if self._typed:
            self._await(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def write(self) -> None:
        try:
            self._typed = self._typed[os.write(self._terminal, self._typed) :]
        except BlockingIOError:
            return
        except OSError:  # the last who could have read it is gone
            self._typed = b""
        if not self._typed:
            self._await(selectors.EVENT_READ)
            self._waiting.register(_IN, selectors.EVENT_READ)

    def end(self) -> None:
        """Nobody is there any more who could read it."""
        if _IN in self._waiting.get_map():
            self._waiting.unregister(_IN)

    def _await(self, events: int) -> None:
        self._waiting.modify(self._terminal, events, self._waiting.get_key(self._terminal).data)


def _pass(stream: _Stream) -> bool:
    """Hand on one chunk; False at the end, or when nobody takes it any more."""
    try:
        chunk = os.read(stream.source, _CHUNK)
    except BlockingIOError:
        return True
    except OSError as problem:
        if problem.errno != errno.EIO:  # so a terminal says that the last who had it is gone
            raise
        chunk = b""
    try:
        _write(stream.target, stream.filter.feed(chunk) if chunk else stream.filter.end())
    except BrokenPipeError:
        return False
    return bool(chunk)


def _write(number: int, text: bytes) -> None:
    while text:
        try:
            text = text[os.write(number, text) :]
        except BlockingIOError:  # whoever has this stream with us wants it so
            select.select((), (number,), ())
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise FileUnusable(f"the program's output has no place: {problem.strerror}") from None
