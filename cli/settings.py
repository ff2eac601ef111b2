"""Where each setting comes from: flag, environment, project file, user file, default; first wins.

The user's file is ``~/.config/muniment/config.toml``; a project's is ``.muniment.toml`` in the
working directory or above it.  A project file comes with a checkout and so from others: it may say
which store, vault and output, and not who asks, which server, where keys and passphrases are, or
where it is kept what was seen of a log.  One that another user owns or may write is refused, not skipped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cli.problems import SettingInvalid

PROJECT_FILE: Final = ".muniment.toml"
FORMS: Final = ("table", "json", "jsonl", "tsv", "none")
COLORS: Final = ("auto", "always", "never")


class Key(NamedTuple):
    """A setting: its flag, its variable, whether a project file may say it, and if it is a path."""

    flag: str
    variable: str
    in_project: bool = False
    is_path: bool = False
    choices: tuple[str, ...] = ()


KEYS: Final[dict[str, Key]] = {
    "home": Key("--home", "MUNIMENT_HOME", in_project=True, is_path=True),
    "root_key": Key("--root-key", "MUNIMENT_ROOT_KEY", is_path=True),
    "passphrase_file": Key("--passphrase-file", "MUNIMENT_PASSPHRASE_FILE", is_path=True),
    # It names programs that are run: no project file says which.
    "providers": Key("--providers", "MUNIMENT_PROVIDERS", is_path=True),
    # A project file may not say where credentials are sent.
    "url": Key("--url", "MUNIMENT_URL"),
    "ca": Key("--ca", "MUNIMENT_CA", is_path=True),
    "token_file": Key("--token-file", "MUNIMENT_TOKEN_FILE", is_path=True),
    # Nor whose word on time is believed.
    "policy": Key("--policy", "MUNIMENT_POLICY", is_path=True),
    "tsa_roots": Key("--tsa-roots", "MUNIMENT_TSA_ROOTS", is_path=True),
    "vault": Key("--vault-name", "MUNIMENT_VAULT", in_project=True),
    "principal": Key("--as", "MUNIMENT_PRINCIPAL"),
    "output": Key("--output", "MUNIMENT_OUTPUT", in_project=True, choices=FORMS),
    "state": Key("--state", "MUNIMENT_STATE", is_path=True),
    "color": Key("--color", "MUNIMENT_COLOR", in_project=True, choices=COLORS),
}


_FLAGS: Final = {key.flag[2:]: name for name, key in KEYS.items()}


def _setting(name: str) -> str:
    """The setting that a file calls *name*: as its flag is called, or as its variable."""
    return _FLAGS.get(name.replace("_", "-")) or name.replace("-", "_")


class Setting(NamedTuple):
    """A value and who said it; None is the default that the store itself knows."""

    value: str | None
    origin: str


class Settings:
    """All settings of one command.  *flags* holds what the command line gave."""

    def __init__(
        self,
        flags: Mapping[str, str | None],
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._flags = flags
        self._environ = os.environ if environ is None else environ
        self._directory = directory
        self._files: list[tuple[Path, dict[str, str]]] | None = None

    def resolve(self, name: str) -> Setting:
        """The value of the setting *name* and its origin.  Raise SettingInvalid."""
        key = KEYS[name]
        found = self._given(name, key) or self._in_files(name) or self._default(name)
        if key.choices and found.value not in key.choices:
            raise SettingInvalid(
                f"{found.origin}: {key.flag[2:]} is one of {', '.join(key.choices)}"
            )
        return found

    def path(self, name: str) -> Path | None:
        value = self.resolve(name).value
        return None if value is None else Path(value).expanduser()

    @property
    def home(self) -> Path:
        return Path(self.resolve("home").value or "").expanduser()

    @property
    def state(self) -> Path:
        """Where this account keeps what it has seen of each log."""
        return Path(self.resolve("state").value or "").expanduser()

    def files(self) -> list[tuple[Path, dict[str, str]]]:
        """The settings files that were found, the project's first.  Raise SettingInvalid."""
        if self._files is None:
            found = (self._project_file(), self._user_file())
            self._files = [
                (path, _read(path, project=path.name == PROJECT_FILE)) for path in found if path
            ]
        return self._files

    def _given(self, name: str, key: Key) -> Setting | None:
        if (flag := self._flags.get(name)) is not None:
            if not flag:
                # The variable in `--home "$PLACE"` was not set: no reason to work somewhere else.
                raise SettingInvalid(f"{key.flag} is empty")
            return Setting(flag, key.flag)
        # An empty variable is one that somebody unset the short way.
        if value := self._environ.get(key.variable):
            return Setting(value, key.variable)
        return None

    def _in_files(self, name: str) -> Setting | None:
        for path, values in self.files():
            if name in values:
                return Setting(values[name], str(path))
        return None

    def _default(self, name: str) -> Setting:
        if name == "home":
            data = self._environ.get("XDG_DATA_HOME") or "~/.local/share"
            return Setting(str(Path(data).expanduser() / "muniment"), "default")
        if name == "state":
            state = self._environ.get("XDG_STATE_HOME") or "~/.local/state"
            return Setting(str(Path(state).expanduser() / "muniment"), "default")
        defaults = {"output": "table", "color": "auto"}
        return Setting(defaults.get(name), "default")

    def _user_file(self) -> Path | None:
        config = self._environ.get("XDG_CONFIG_HOME") or "~/.config"
        path = Path(config).expanduser() / "muniment" / "config.toml"
        return path if os.path.isfile(path) else None

    def _project_file(self) -> Path | None:
        try:
            start = (self._directory or Path.cwd()).absolute()
        except FileNotFoundError:
            return None
        for directory in (start, *start.parents):
            path = directory / PROJECT_FILE
            # Path.is_file raises where this account may not look: a service's user, who was started
            # in somebody's home directory, finds no file there.
            if os.path.isfile(path):
                _check_owner(path)
                return path
        return None


def _check_owner(path: Path) -> None:
    found = path.stat()
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingInvalid(f"{path} is not read: another user owns it or may write it")


def _read(path: Path, *, project: bool) -> dict[str, str]:
    import tomllib

    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise SettingInvalid(f"{path} cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingInvalid(f"{path}: {error}") from None
    return {_known(path, name, project): _text(path, name, value) for name, value in read.items()}


def _known(path: Path, name: str, project: bool) -> str:
    setting = _setting(name)
    if setting not in KEYS:
        known = ", ".join(_FLAGS)
        raise SettingInvalid(f"{path}: there is no setting {name!r}; there are {known}")
    if project and not KEYS[setting].in_project:
        raise SettingInvalid(f"{path}: {name!r} may not stand in a project file")
    return setting


def _text(path: Path, name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise SettingInvalid(f"{path}: {name!r} is not a text")
    if KEYS[_setting(name)].is_path:
        # A path in a file is seen from the file, wherever the command is typed.
        return str(path.parent / Path(value).expanduser())
    return value
