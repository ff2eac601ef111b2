"""A git work tree as a place where published files get a history of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cli.problems import NotPublished

# Set where a hook of another repository runs this.
_ELSEWHERE = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE")


def commit(place: Path, files: Sequence[Path], message: str) -> str | None:
    """Commit *files* if they stand in a git work tree, and nothing else that stands there.

    Give the revision that holds them; None outside of a work tree.  Raise NotPublished.
    """
    directory = place if place.is_dir() else place.absolute().parent
    if not any((above / ".git").exists() for above in (directory, *directory.resolve().parents)):
        return None
    paths = [os.fspath(file.absolute()) for file in files]
    _git(directory, "add", "--", *paths)
    if _git(directory, "status", "--porcelain", "--", *paths):
        _git(directory, "commit", "--quiet", "--message", message, "--", *paths)
    return _git(directory, "log", "-1", "--format=%H", "--", *paths)


def _git(directory: Path, *arguments: str) -> str:
    import subprocess

    environ = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(directory), *arguments],
            capture_output=True,
            check=False,
            env=environ,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise NotPublished(f"{directory} is in a git work tree, and git is not installed") from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise NotPublished(f"git {arguments[0]}: {told[-1] if told else 'failed'}")
    return done.stdout.strip()
