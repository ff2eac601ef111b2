"""`serve`, `tls` and `env` at the terminal: what is made, what is printed, and what is refused."""

import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from support.services import Connection, free_port
from support.terminal import SCRIPT, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


# --- certificates ---------------------------------------------------------------------------------


def test_an_authority_is_made_beside_the_store_and_renews(terminal: Terminal) -> None:
    made = terminal.json("tls", "init")
    assert made["authority"] == f"{terminal.home}.tls/ca.pem"
    assert not terminal.home.exists()
    ssl.create_default_context(cafile=made["authority"])
    before = Path(made["certificate"]).read_bytes()
    renewed = terminal.json("tls", "renew")
    assert renewed["certificate"] == made["certificate"]
    assert Path(made["certificate"]).read_bytes() != before


def test_an_authority_is_not_made_twice(terminal: Terminal) -> None:
    terminal.must("tls", "init", "--out", "here")
    ran = terminal.run("tls", "init", "--out", "here", "-o", "json")
    assert (ran.status, ran.error["code"]) == (5, "tls.exists")


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("init", "--domain", "localhost"), 2, "tls.domain-invalid"),
        (("init", "--domain", "a b.c"), 2, "tls.domain-invalid"),
        (("renew",), 3, "tls.no-authority"),
    ],
)
def test_what_cannot_be_made_is_told(
    terminal: Terminal, arguments: tuple[str, ...], status: int, code: str
) -> None:
    ran = terminal.run("tls", *arguments, "-o", "json")
    assert (ran.status, ran.error["code"]) == (status, code)


# --- variables ------------------------------------------------------------------------------------


def test_a_shell_takes_the_variables_as_they_are(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("it's a $secret\nsecond line")
    terminal.must("tls", "init", "--out", "my certificates")
    printed = terminal.must(
        "env", "azure", "--tls", "my certificates", "--client-id", "c", "--tenant-id", "t",
        "--secret-file", "secret", "--port", "9443",
    )  # fmt: skip
    names = ("AZURE_AUTHORITY_HOST", "IDENTITY_HEADER", "IDENTITY_ENDPOINT", "SSL_CERT_FILE")
    shown = subprocess.run(
        ["/bin/sh", "-c", printed.text + "".join(f'printf "%s\\n" "${n}"\n' for n in names)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert shown.stdout.splitlines() == [
        "https://vault.localhost:9443",
        "it's a $secret",
        "https://vault.localhost:9443/msi/token",
        str(tmp_path / "my certificates" / "ca.pem"),
    ]


def test_a_client_secret_is_printed_only_where_it_is_asked_for(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s")
    printed = {
        kind: terminal.json(
            "env", "azure", "--client-id", "c", "--secret-file", "secret", "--credential", kind
        )
        for kind in ("managed-identity", "client-secret")
    }
    # With the first DefaultAzureCredential must come as far as to the managed identity.
    assert "AZURE_CLIENT_SECRET" not in printed["managed-identity"]
    assert printed["client-secret"]["AZURE_CLIENT_SECRET"] == "s"
    assert "IDENTITY_HEADER" not in printed["client-secret"]


def test_a_program_takes_them_as_json(terminal: Terminal) -> None:
    terminal.must("tls", "init")
    authority = f"{terminal.home}.tls/ca.pem"
    assert terminal.json("env", "azure", "--client-id", "c") == {
        "AZURE_AUTHORITY_HOST": "https://vault.localhost:8443",
        "AZURE_CLIENT_ID": "c",
        "REQUESTS_CA_BUNDLE": authority,
        "SSL_CERT_FILE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
    }


def test_a_client_is_looked_up_by_its_name(terminal: Terminal) -> None:
    terminal.must("init")
    made = terminal.json("identity", "add", "ci")
    variables = terminal.json("env", "azure", "--identity", "ci")
    assert variables["AZURE_CLIENT_ID"] == made["clientId"]
    assert variables["AZURE_TENANT_ID"] == made["tenantId"]
    assert "AZURE_CLIENT_SECRET" not in variables
    assert terminal.run("env", "azure", "--identity", "nobody").status == 3
    assert terminal.run("env", "azure", "--identity", "ci", "--client-id", "x").status == 2
    terminal.check()


def test_a_certificate_of_others_needs_no_trust_of_its_own(terminal: Terminal) -> None:
    variables = terminal.json("env", "azure", "--domain", "kv.example.com", "--port", "443")
    assert variables == {"AZURE_AUTHORITY_HOST": "https://kv.example.com"}


@pytest.mark.parametrize("text", [b"", b"\nsecret", b"\xff\xfe", b"a\0b"])
def test_a_file_without_a_secret_is_refused(
    terminal: Terminal, tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "secret").write_bytes(text)
    ran = terminal.run("env", "azure", "--secret-file", "secret", "-o", "json")
    assert (ran.status, ran.error["code"], ran.out) == (2, "setting.invalid", b"")


@pytest.mark.parametrize("domain", ["x;touch gone.b", "$(id).b", "a", "b.c'"])
def test_a_domain_is_no_way_into_a_shell(terminal: Terminal, domain: str) -> None:
    for verb in ("azure", "az-cli"):
        ran = terminal.run("env", verb, "--domain", domain)
        assert (ran.status, ran.out) == (2, b"")


def test_the_azure_cli_is_told_where_the_vaults_are(terminal: Terminal) -> None:
    printed = terminal.must("env", "az-cli").text
    assert "--suffix-keyvault-dns .vault.localhost:8443" in printed
    assert "core.instance_discovery=false" in printed
    # It puts /metadata/endpoints behind the address as it is.
    assert "--endpoint-resource-manager https://vault.localhost:8443 " in printed
    assert subprocess.run(["/bin/sh", "-n", "-c", printed], check=True).returncode == 0


# --- serving --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--domain", "localhost"), 2, "tls.domain-invalid"),
        ((), 10, "store.not-found"),
        (("--workers", "0"), 2, "usage"),
        (("--port", "70000"), 2, "usage"),
        (("--throttle", "maybe"), 2, "usage"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_listens(
    terminal: Terminal, arguments: tuple[str, ...], status: int, code: str
) -> None:
    ran = terminal.run("serve", *arguments, "-o", "json")
    assert (ran.status, ran.error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("--listen", "address=127.0.0.1:1"), 2, "serve.listen-invalid"),
        (("--listen", "name=a,address=127.0.0.1,vlan=5"), 2, "serve.listen-invalid"),
        (("--listen", "name=a"), 2, "serve.listen-invalid"),
        (("--listen", "name=a,address=127.0.0.1", "--listen", "name=a"), 2, "serve.listen-invalid"),
        (("--trusted-proxy", "0.0.0.0/0"), 2, "serve.proxy-invalid"),
        (("--listen", "name=a,address=127.0.0.1,proxy=v2"), 2, "serve.proxy-invalid"),
        (("--listen", "name=a,address=127.0.0.1,interface=none"), 1, "serve.interface-unusable"),
        (("--listen", "name=a,address=192.0.2.1:9"), 1, "serve.address-unusable"),
    ],
)
def test_a_listener_or_proxy_that_cannot_be_is_told(
    terminal: Terminal, arguments: tuple[str, ...], status: int, code: str
) -> None:
    terminal.must("init", "shop")
    terminal.must("tls", "init")
    ran = terminal.run("serve", *arguments, "-o", "json")
    assert (ran.status, ran.error["code"]) == (status, code)


def test_without_a_certificate_it_says_how_to_make_one(terminal: Terminal) -> None:
    terminal.must("init")
    ran = terminal.run("serve", "--port", str(free_port()))
    assert ran.status == 3
    assert "muniment tls init" in ran.told
    terminal.check()


def test_a_port_in_use_is_told(terminal: Terminal) -> None:
    terminal.must("init")
    terminal.must("tls", "init")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = terminal.run("serve", "--port", str(taken.getsockname()[1]), "-o", "json")
    assert (ran.status, ran.error["code"]) == (1, "serve.address-unusable")
    terminal.check()


def test_a_locked_store_is_not_served_without_its_passphrase(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "pass").write_text("correct horse\n")
    environ = {"MUNIMENT_PASSPHRASE_FILE": str(tmp_path / "pass")}
    terminal.must("init", "--provider", "passphrase", environ=environ)
    terminal.must("tls", "init")
    ran = terminal.run("serve", "--port", str(free_port()), "-o", "json")
    assert (ran.status, ran.error["code"]) == (11, "root.locked")
    terminal.must("verify", environ=environ)


def test_without_the_extra_it_names_what_is_missing(terminal: Terminal, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['granian'] = None; sys.modules['joserfc'] = None;"
        "import importlib.util as u; found = u.find_spec;"
        "u.find_spec = lambda n, *a: None if n in ('granian', 'joserfc') else found(n, *a);"
        "from cli.main import run; sys.exit(run(['serve', '-o', 'json']))"
    )
    python = SCRIPT.with_name("python")
    ran = subprocess.run(
        [python, "-c", script], cwd=tmp_path, env=terminal.environ, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "granian, joserfc" in ran.stderr
    assert "muniment[server]" in ran.stderr


def test_a_store_is_served_until_it_is_told_to_stop(terminal: Terminal, tmp_path: Path) -> None:
    terminal.must("init", "shop")
    terminal.must("tls", "init")
    port = free_port()
    told = tmp_path / "told"
    with told.open("wb") as errors:
        service = subprocess.Popen(
            [SCRIPT, "serve", "--port", str(port), "--workers", "2"],
            env=terminal.environ,
            stderr=errors,
        )
    try:
        end = time.monotonic() + 30
        while b"Vaults answer at" not in told.read_bytes():
            assert service.poll() is None, told.read_text()
            assert time.monotonic() < end, told.read_text()
            time.sleep(0.05)
        assert f"https://VAULT.vault.localhost:{port}; 2 workers" in told.read_text()
        assert f"muniment env azure --port {port}\n" in told.read_text()
        context = ssl.create_default_context(cafile=f"{terminal.home}.tls/ca.pem")
        connection = Connection(port, context)
        connection.request("GET", "/secrets/a?api-version=7.4")
        response = connection.getresponse()
        assert response.status == 401
        assert f'resource="https://vault.localhost:{port}"' in response.headers["WWW-Authenticate"]
        connection.close()
    finally:
        service.terminate()
        assert service.wait(30) == 0
    terminal.check()
