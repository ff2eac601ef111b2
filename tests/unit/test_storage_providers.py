"""What every provider keeps to, whichever makes the keys; and what each does when it is attacked."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.arm import (
    ACCOUNT,
    AUTHORITY,
    CLIENT,
    SECRET,
    TENANT,
    Arm,
    Handler,
    Misbehaves,
    arm_served,
    authority_in,
)
from support.hooks import manual
from vault import provider_https
from vault.provider_arm import ArmProvider, ClientSecret, ManagedIdentity
from vault.provider_azurite import AzuriteProvider
from vault.provider_manual import ManualProvider
from vault.providers import StorageProvider, checked
from vault.refusals import ProviderRefused, ProviderUnavailable

SHOP, OTHER, NOBODY = ACCOUNT + "shop", ACCOUNT + "other", ACCOUNT + "nobody"


class Made(NamedTuple):
    """A provider, and how to make it one that does not answer."""

    provider: StorageProvider
    break_it: Callable[[], object]


# --- the three ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("authority") / "tls"
    authority_in(directory)
    return directory


@pytest.fixture
def arm(certified: Path) -> Iterator[Arm]:
    with arm_served(certified, "shop", "other") as server:
        yield server


def asking(server: Arm, certified: Path, directory: Path) -> ArmProvider:
    secret = directory / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    credential = ClientSecret(server.address, TENANT, CLIENT, secret)
    return ArmProvider(server.address, credential, str(certified / AUTHORITY))


def azurite(directory: Path, restart: str = "", seconds: float = 20) -> AzuriteProvider:
    """An Azurite whose start copies what it is told."""
    script = directory / "restart"
    if not script.exists():
        script.write_text(f"#!/bin/sh\n{restart or 'cp azurite.env begun.env'}\n")
        script.chmod(0o755)
    return AzuriteProvider(
        ("shop", "other"),
        directory / "keys.json",
        directory / "azurite.env",
        ("/bin/sh", "-c", f"cd {directory} && ./restart"),
        seconds,
    )


@pytest.fixture(params=["arm", "azurite", "manual"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    if request.param == "arm":
        server: Arm = request.getfixturevalue("arm")
        provider = asking(server, request.getfixturevalue("certified"), tmp_path)

        def fail() -> None:
            server.misbehaves = lambda handler: fails(handler, 503)

        return Made(provider, fail)
    if request.param == "azurite":
        return Made(azurite(tmp_path), lambda: (tmp_path / "keys.json").chmod(0o644))
    return Made(manual(tmp_path), lambda: (tmp_path / "accounts.json").unlink())


# --- the contract ---------------------------------------------------------------------------------


def test_the_keys_of_an_account_are_two_of_64_bytes_and_stay_as_they_are(made: Made) -> None:
    keys = made.provider.list_keys(SHOP)
    assert checked(keys).keys() == {"key1", "key2"}
    assert keys["key1"] != keys["key2"]
    assert made.provider.list_keys(SHOP) == keys


def test_a_regenerated_key_is_another_one_and_no_other_key_is(made: Made) -> None:
    shop, other = made.provider.list_keys(SHOP), made.provider.list_keys(OTHER)
    after = made.provider.regenerate_key(SHOP, "key2")
    assert after["key1"] == shop["key1"]
    assert after["key2"] != shop["key2"]
    assert checked(after) == made.provider.list_keys(SHOP)
    assert made.provider.list_keys(OTHER) == other


def test_a_key_or_an_account_that_is_not_there_is_refused(made: Made) -> None:
    keys = made.provider.list_keys(SHOP)
    with pytest.raises(ProviderRefused):
        made.provider.regenerate_key(SHOP, "key3")
    with pytest.raises(ProviderRefused):
        made.provider.list_keys(NOBODY)
    with pytest.raises(ProviderRefused):
        made.provider.regenerate_key(NOBODY, "key1")
    assert made.provider.list_keys(SHOP) == keys


def test_an_account_is_named_in_lower_case_by_the_end_of_its_resources_id(made: Made) -> None:
    assert made.provider.account_name(ACCOUNT.upper() + "SHOP") == "shop"


def test_who_does_not_answer_is_unavailable_and_no_key_is_told(made: Made) -> None:
    keys = made.provider.list_keys(SHOP)
    made.break_it()
    for ask in (
        lambda: made.provider.list_keys(SHOP),
        lambda: made.provider.regenerate_key(SHOP, "key1"),
    ):
        with pytest.raises(ProviderUnavailable) as told:
            ask()
        assert_untold(told, keys)


def test_no_representation_shows_a_key(made: Made) -> None:
    keys = made.provider.list_keys(SHOP)
    shown = repr(made.provider) + repr(vars(made.provider))
    assert not any(key in shown for key in keys.values())


def test_many_who_regenerate_at_once_leave_the_keys_of_the_last(made: Made) -> None:
    answers: list[dict[str, str]] = []

    def ask(name: str) -> None:
        answers.append(made.provider.regenerate_key(SHOP, name))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("key1", "key2") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    last = made.provider.list_keys(SHOP)
    for name in ("key1", "key2"):
        assert last[name] in {keys[name] for keys in answers}


def assert_untold(told: Any, keys: dict[str, str]) -> None:
    """No value of a key hangs on to a failure: in its text, its causes or the names of its frames."""
    found = [str(told.value), repr(told.value), repr(told.value.__context__)]
    trace = told.value.__traceback__
    while trace is not None:
        if "/vault/" in trace.tb_frame.f_code.co_filename:
            found.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert not any(key in text for key in keys.values() for text in found)


# --- arm ------------------------------------------------------------------------------------------


def test_one_token_serves_until_shortly_before_its_end(
    arm: Arm, certified: Path, tmp_path: Path
) -> None:
    provider = asking(arm, certified, tmp_path)
    now = [0.0]
    provider._ticks = lambda: now[0]
    provider.list_keys(SHOP)
    now[0] = 3299
    provider.list_keys(SHOP)
    assert sum("/token" in asked for asked in arm.asked) == 1
    now[0] = 3301
    provider.list_keys(SHOP)
    assert sum("/token" in asked for asked in arm.asked) == 2


def test_a_token_that_was_revoked_is_replaced_once(
    arm: Arm, certified: Path, tmp_path: Path
) -> None:
    provider = asking(arm, certified, tmp_path)
    provider.list_keys(SHOP)
    arm.tokens.clear()
    assert checked(provider.list_keys(SHOP))
    arm.misbehaves = lambda handler: "/token" not in handler.path and fails(handler, 401)
    with pytest.raises(ProviderRefused, match="401"):
        provider.list_keys(SHOP)


def test_a_managed_identity_signs_in_at_the_metadata_service(
    arm: Arm, certified: Path, tmp_path: Path
) -> None:
    with arm_served(tmp_path, clear=True) as metadata:
        place = f"http://127.0.0.1:{metadata.server_address[1]}/metadata/identity/oauth2/token"
        arm.tokens = metadata.tokens
        provider = ArmProvider(
            arm.address, ManagedIdentity(place, "of-us"), str(certified / AUTHORITY)
        )
        assert checked(provider.list_keys(SHOP)) == arm.keys["shop"]
    [asked] = metadata.asked
    assert "resource=https%3A%2F%2Flocalhost" in asked
    assert "client_id=of-us" in asked


def test_a_wrong_secret_is_refused_and_not_told(arm: Arm, certified: Path, tmp_path: Path) -> None:
    provider = asking(arm, certified, tmp_path)
    (tmp_path / "secret").write_text("another secret")
    with pytest.raises(ProviderRefused, match="sign-in was answered with status 401") as told:
        provider.list_keys(SHOP)
    assert "another secret" not in str(told.value)


def test_a_secret_that_others_may_read_is_not_used(
    arm: Arm, certified: Path, tmp_path: Path
) -> None:
    provider = asking(arm, certified, tmp_path)
    (tmp_path / "secret").chmod(0o640)
    with pytest.raises(ProviderUnavailable, match="others may use"):
        provider.list_keys(SHOP)
    assert arm.asked == []


@pytest.mark.parametrize(
    "resource",
    [
        "/subscriptions/1/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts/shop",
        ACCOUNT + "shop/../../../x",
        ACCOUNT + "shop?x=",
        ACCOUNT + "shop#",
        ACCOUNT + "shop/extra",
        ACCOUNT.replace("/g/", "/../"),
        ACCOUNT.replace("/g/", "/%2e%2e/") + "shop",
        "https://elsewhere.example" + ACCOUNT + "shop",
        "",
    ],
)
def test_only_the_id_of_a_storage_account_becomes_a_path(
    arm: Arm, certified: Path, tmp_path: Path, resource: str
) -> None:
    with pytest.raises(ProviderRefused, match="not that of a storage account"):
        asking(arm, certified, tmp_path).list_keys(resource)
    assert arm.asked == []


def fails(handler: Handler, status: int) -> bool:
    handler.fail(status, "Something")
    return True


def gives(told: Any, status: int = 200, *headers: tuple[str, str]) -> Misbehaves:
    def misbehave(handler: Handler) -> bool:
        if "/token" in handler.path:
            return False
        handler.give(status, told, *headers)
        return True

    return misbehave


def with_all_keys(told: Any) -> bytes:
    return json.dumps({"keys": told}).encode()


@pytest.mark.parametrize(
    "misbehaves",
    [
        gives(b""),
        gives(b"keys"),
        gives(b"[" * 100_000),
        gives({"keys": None}),
        gives(with_all_keys([{"keyName": "key1"}])),
        gives(with_all_keys([{"keyName": "key1", "value": "a"}] * 2)),
        gives(b"\xff"),
        gives(b"x" * 300_000),
        gives({}, 202),
        gives({}, 500),
        gives({}, 429),
        gives({}, 409),
    ],
    ids=range(12),
)
def test_an_answer_that_says_no_keys_leaves_it_open_what_was_done(
    arm: Arm, certified: Path, tmp_path: Path, misbehaves: Misbehaves
) -> None:
    provider = asking(arm, certified, tmp_path)
    arm.misbehaves = misbehaves
    with pytest.raises(ProviderUnavailable):
        provider.regenerate_key(SHOP, "key1")


def test_a_redirect_is_not_followed(arm: Arm, certified: Path, tmp_path: Path) -> None:
    with arm_served(certified, "shop") as elsewhere:
        place = f"{elsewhere.address}{SHOP}/listKeys?api-version=1"
        for status in (301, 302, 307, 308):
            arm.misbehaves = gives(b"", status, ("Location", place))
            with pytest.raises(ProviderUnavailable, match=str(status)):
                asking(arm, certified, tmp_path).list_keys(SHOP)
        assert elsewhere.asked == []


def test_another_accounts_keys_are_seen_by_their_names_alone(
    arm: Arm, certified: Path, tmp_path: Path
) -> None:
    """Azure's answer does not say whose keys it holds: the certificate says who answers."""
    provider = asking(arm, certified, tmp_path)
    foreign = [{"keyName": "primary", "value": arm.keys["other"]["key1"]}]
    arm.misbehaves = gives({"keys": foreign})
    assert "key1" not in provider.regenerate_key(SHOP, "key1")


@pytest.mark.parametrize("header", [("Content-Length", "100000"), ("X-Other", "of no length")])
def test_an_answer_that_drips_has_an_end(
    arm: Arm, certified: Path, header: tuple[str, str]
) -> None:
    over = threading.Event()

    def drip(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header(*header)
        handler.end_headers()
        while not over.wait(0.05):
            handler.wfile.write(b"x")
        return True

    arm.misbehaves = drip
    began = time.monotonic()
    try:
        with pytest.raises(ProviderUnavailable, match="in time"):
            provider_https.ask(
                "POST",
                f"{arm.address}/x",
                {"Content-Length": "0"},
                trust=provider_https.trust_of(str(certified / AUTHORITY)),
                patience=0.5,
            )
    finally:
        over.set()
    assert 0.4 < time.monotonic() - began < 5


def test_a_server_that_nobody_vouches_for_is_asked_nothing(arm: Arm, tmp_path: Path) -> None:
    stranger = authority_in(tmp_path / "stranger")
    with pytest.raises(ProviderUnavailable):
        asking(arm, stranger.parent, tmp_path).list_keys(SHOP)
    assert arm.asked == []


def test_only_a_plain_code_of_an_error_is_told(arm: Arm, certified: Path, tmp_path: Path) -> None:
    provider = asking(arm, certified, tmp_path)
    key = arm.keys["shop"]["key1"]
    for code, shown in ((key, ""), ("AuthorizationFailed", ", AuthorizationFailed")):
        arm.misbehaves = gives({"error": {"code": code, "message": key}}, 403)
        with pytest.raises(ProviderRefused) as told:
            provider.list_keys(SHOP)
        assert str(told.value).endswith(f"status 403{shown}")
        assert_untold(told, {"key1": key})


# --- azurite --------------------------------------------------------------------------------------


def begun_with(directory: Path) -> dict[str, str]:
    """What the Azurite was started with last."""
    text = (directory / "begun.env").read_text()
    assert text.startswith('AZURITE_ACCOUNTS="')
    told = text.strip().removeprefix('AZURITE_ACCOUNTS="').removesuffix('"')
    return {account.partition(":")[0]: account.partition(":")[2] for account in told.split(";")}


def joined(keys: dict[str, str]) -> str:
    return f"{keys['key1']}:{keys['key2']}"


def test_azurite_begins_with_the_keys_that_the_vault_has(tmp_path: Path) -> None:
    provider = azurite(tmp_path)
    keys, other = provider.list_keys(SHOP), provider.list_keys(OTHER)
    assert begun_with(tmp_path) == {"shop": joined(keys), "other": joined(other)}
    keys = provider.regenerate_key(SHOP, "key1")
    assert begun_with(tmp_path) == {"shop": joined(keys), "other": joined(other)}


def test_nobody_else_may_read_what_azurite_is_told(tmp_path: Path) -> None:
    azurite(tmp_path).list_keys(SHOP)
    for name in ("keys.json", "azurite.env", "keys.json.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_a_start_that_failed_is_made_up_for_by_the_next_question(tmp_path: Path) -> None:
    provider = azurite(tmp_path, restart="test -e well && cp azurite.env begun.env")
    (tmp_path / "well").touch()
    before = provider.list_keys(SHOP)
    (tmp_path / "well").unlink()
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="status 1") as told:
            provider.regenerate_key(SHOP, "key2")
        assert_untold(told, before)
    assert begun_with(tmp_path)["shop"] == joined(before)
    (tmp_path / "well").touch()
    after = azurite(tmp_path).list_keys(SHOP)
    assert after["key1"] == before["key1"]
    assert after["key2"] != before["key2"]
    assert begun_with(tmp_path)["shop"] == joined(after)


def test_a_regeneration_starts_azurite_once_whatever_was_left_undone(tmp_path: Path) -> None:
    provider = azurite(tmp_path, restart="echo >> starts; cp azurite.env begun.env; test -e well")
    with pytest.raises(ProviderUnavailable):
        provider.list_keys(SHOP)
    (tmp_path / "well").touch()
    keys = provider.regenerate_key(SHOP, "key1")
    assert begun_with(tmp_path)["shop"] == joined(keys)
    assert (tmp_path / "starts").read_text() == "\n" * 2


@pytest.mark.parametrize("step", range(4))
def test_a_crash_at_any_step_is_finished_by_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed before the keys are written, before Azurite's file is, before the start, and after."""
    before = azurite(tmp_path).list_keys(SHOP)

    class Killed(BaseException):
        pass

    provider, left = azurite(tmp_path), [step]

    def count() -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    def counted(work: Callable[..., None]) -> Callable[..., None]:
        def carry_out(*given: Any) -> None:
            count()
            work(*given)

        return carry_out

    with monkeypatch.context() as patched:
        for place, name in (
            ("vault.provider_azurite", "write_durably"),
            ("vault.provider_programs", "carry_out"),
        ):
            work = getattr(import_module(place), name)
            patched.setattr(f"{place}.{name}", counted(work))
        with pytest.raises(Killed):
            provider.regenerate_key(SHOP, "key1")
    after = azurite(tmp_path).list_keys(SHOP)
    assert (after["key1"] == before["key1"]) is (step == 0)
    assert begun_with(tmp_path)["shop"] == joined(after)


def test_a_start_that_hangs_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable, match=r"more than 0\.3 seconds"):
        azurite(tmp_path, restart="sleep 600", seconds=0.3).list_keys(SHOP)
    assert time.monotonic() - began < 10


def test_what_the_start_leaves_running_goes_on(tmp_path: Path) -> None:
    azurite(tmp_path, restart="(sleep 0.3; touch later) &").list_keys(SHOP)
    end = time.monotonic() + 10
    while not (tmp_path / "later").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("text", ["", "{}", '{"accounts":{"shop":{}},"begun":true}', "[" * 60_000])
def test_a_damaged_file_of_keys_is_not_written_over(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ProviderUnavailable, match="not a file of keys"):
        azurite(tmp_path).list_keys(SHOP)
    assert file.read_text() == text


# --- manual ---------------------------------------------------------------------------------------


def test_a_program_that_hangs_is_killed(tmp_path: Path) -> None:
    keys = manual(tmp_path).list_keys(SHOP)
    began = time.monotonic()
    with pytest.raises(ProviderUnavailable, match="did not end in time") as told:
        manual(tmp_path, "hangs", seconds=1).list_keys(SHOP)
    assert time.monotonic() - began < 10
    assert_untold(told, keys)


def test_what_a_program_began_is_ended_with_it_and_not_waited_for(tmp_path: Path) -> None:
    assert checked(manual(tmp_path, "has a child that hangs").list_keys(SHOP))
    child = int((tmp_path / "child").read_text())
    end = time.monotonic() + 10
    while _alive(child):
        assert time.monotonic() < end
        time.sleep(0.02)


def _alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_that_floods_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="more than 65,536 bytes"):
        manual(tmp_path, "floods").list_keys(SHOP)


@pytest.mark.parametrize(
    "how",
    [
        "says nothing",
        "is no JSON",
        "is nested",
        "is no object",
        "says both",
        "says more",
        "says numbers",
        "is not UTF-8",
    ],
)
def test_an_answer_that_is_not_one_is_not_believed(tmp_path: Path, how: str) -> None:
    keys = manual(tmp_path).list_keys(SHOP)
    with pytest.raises(ProviderUnavailable, match="neither keys nor an error") as told:
        manual(tmp_path, how).list_keys(SHOP)
    assert_untold(told, keys)


@pytest.mark.parametrize("how", ["has keys that are no base64", "has short keys"])
def test_keys_that_are_none_are_not_taken(tmp_path: Path, how: str) -> None:
    with pytest.raises(ProviderUnavailable, match="not base64 of 64 bytes"):
        checked(manual(tmp_path, how).list_keys(SHOP))


@pytest.mark.parametrize("how", ["says the key in its error", "says the key and fails"])
def test_a_key_that_a_program_gives_away_is_not_passed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    keys = manual(tmp_path).list_keys(SHOP)
    with pytest.raises((ProviderRefused, ProviderUnavailable)) as told:
        manual(tmp_path, how).list_keys(SHOP)
    assert_untold(told, keys)
    out, err = capfd.readouterr()
    assert out + err == ""


def test_a_program_sees_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_PASSPHRASE_FILE", "/secret/place")
    seen = manual(tmp_path, "says its environment").list_keys(SHOP)
    assert seen.keys() <= {"PATH", "LANG", "LC_CTYPE", "PWD", "SHLVL", "_"}


def test_a_program_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(ProviderUnavailable, match="No such file"):
        ManualProvider(("/nowhere/hook",), 5).list_keys(SHOP)
