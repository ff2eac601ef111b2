"""Flag, environment, project file, user file, default: the first that speaks is heard."""

import os
from pathlib import Path

import pytest

from cli.problems import SettingInvalid
from cli.settings import Setting, Settings


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    work = tmp_path / "project" / "deep"
    work.mkdir(parents=True)
    (tmp_path / "config" / "muniment").mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_DATA_HOME": str(tmp_path / "data")}
    return work, environ


def project(work: Path, text: str) -> Path:
    path = work.parent / ".muniment.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def user(environ: dict[str, str], text: str) -> Path:
    path = Path(environ["XDG_CONFIG_HOME"]) / "muniment" / "config.toml"
    path.write_text(text)
    return path


def test_the_first_that_speaks_is_heard(places: tuple[Path, dict[str, str]]) -> None:
    work, environ = places

    def output(flags: dict[str, str | None], **more: str) -> Setting:
        return Settings(flags, environ | more, work).resolve("output")

    assert output({}) == Setting("table", "default")
    of_user = user(environ, 'output = "tsv"\n')
    assert output({}) == Setting("tsv", str(of_user))
    of_project = project(work, 'output = "json"\n')
    assert output({}) == Setting("json", str(of_project))
    assert output({}, MUNIMENT_OUTPUT="jsonl") == Setting("jsonl", "MUNIMENT_OUTPUT")
    assert output({"output": "none"}, MUNIMENT_OUTPUT="jsonl") == Setting("none", "--output")


def test_an_empty_variable_says_nothing(places: tuple[Path, dict[str, str]]) -> None:
    work, environ = places
    settings = Settings({}, environ | {"MUNIMENT_OUTPUT": ""}, work)
    assert settings.resolve("output").origin == "default"


def test_an_empty_flag_is_refused(places: tuple[Path, dict[str, str]]) -> None:
    work, environ = places
    with pytest.raises(SettingInvalid, match="--home is empty"):
        Settings({"home": ""}, environ, work).resolve("home")


def test_the_default_home_is_the_users_data_directory(
    places: tuple[Path, dict[str, str]],
) -> None:
    work, environ = places
    assert Settings({}, environ, work).home == Path(environ["XDG_DATA_HOME"]) / "muniment"


def test_a_path_in_a_file_is_seen_from_the_file(places: tuple[Path, dict[str, str]]) -> None:
    work, environ = places
    project(work, 'home = "vault"\n')
    assert Settings({}, environ, work).home == work.parent / "vault"


@pytest.mark.parametrize("name", ["root-key", "passphrase-file", "as", "principal"])
def test_a_project_file_does_not_say_who_asks_or_where_keys_are(
    places: tuple[Path, dict[str, str]], name: str
) -> None:
    work, environ = places
    project(work, f'{name} = "x"\n')
    with pytest.raises(SettingInvalid, match=name):
        Settings({}, environ, work).resolve("home")


def test_the_users_file_may_say_where_keys_are(places: tuple[Path, dict[str, str]]) -> None:
    work, environ = places
    path = user(environ, 'root-key = "/keys"\n')
    assert Settings({}, environ, work).resolve("root_key") == Setting("/keys", str(path))


def test_a_project_file_that_others_may_write_is_refused(
    places: tuple[Path, dict[str, str]],
) -> None:
    work, environ = places
    project(work, 'output = "json"\n').chmod(0o666)
    with pytest.raises(SettingInvalid, match="may write it"):
        Settings({}, environ, work).resolve("output")


@pytest.mark.parametrize("text", ["output = 3\n", "output\n", 'outptu = "json"\n', "[output]\n"])
def test_a_file_that_is_not_understood_is_refused_and_named(
    places: tuple[Path, dict[str, str]], text: str
) -> None:
    work, environ = places
    path = user(environ, text)
    with pytest.raises(SettingInvalid, match=str(path)):
        Settings({}, environ, work).resolve("output")


def test_an_unknown_choice_is_refused_with_its_origin(
    places: tuple[Path, dict[str, str]],
) -> None:
    work, environ = places
    settings = Settings({}, environ | {"MUNIMENT_OUTPUT": "yaml"}, work)
    with pytest.raises(SettingInvalid, match=r"MUNIMENT_OUTPUT: output is one of table"):
        settings.resolve("output")


@pytest.mark.parametrize("name", ["vault-name", "vault_name", "vault"])
def test_a_setting_is_called_in_a_file_as_its_flag_is(
    places: tuple[Path, dict[str, str]], name: str
) -> None:
    work, environ = places
    of_project = project(work, f'{name} = "shop"\n')
    assert Settings({}, environ, work).resolve("vault") == Setting("shop", str(of_project))


def test_a_directory_that_may_not_be_looked_into_has_no_settings(tmp_path: Path) -> None:
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o000)
    environ = {"XDG_CONFIG_HOME": str(shut)}
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            os.stat(shut / ".muniment.toml")
        # As a service's user finds it, who was started in somebody's home.
        assert Settings({}, environ, shut).resolve("output") == Setting("table", "default")
    finally:
        if root:
            os.seteuid(0)
