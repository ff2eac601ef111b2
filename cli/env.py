"""`muniment env azure` and `env az-cli`: what points unmodified programs at the service."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from cli.command import command
from cli.problems import FileUnusable, SettingInvalid, Usage
from cli.serve import domain_option, port_option, tls_directory, tls_option
from cli.session import Session

_CLOUD = "Muniment"

_NO_CLIENT = """\
No client is named, so that no program can sign in yet:
  muniment identity add NAME                               prints its secret, once
  muniment env azure --identity NAME --secret-file FILE    with that secret in FILE"""


@command("azure")
@domain_option
@port_option
@tls_option
@click.option("--identity", metavar="NAME", help="The client that signs in; looked up here.")
@click.option("--tenant-id", metavar="ID", help="The service's tenant, where there is no store.")
@click.option("--client-id", metavar="ID", help="The client's id, where there is no store.")
@click.option("--secret-file", metavar="FILE", help="A file that holds the client's secret.")
@click.option(
    "--credential",
    type=click.Choice(("managed-identity", "client-secret")),
    default="managed-identity",
    help="What the secret is used for [managed-identity].",
)
def azure(
    session: Session,
    domain: str,
    port: int,
    tls: Path | None,
    identity: str | None,
    tenant_id: str | None,
    client_id: str | None,
    secret_file: str | None,
    credential: str,
) -> None:
    """Print the variables that point Azure's SDKs at the service.

    For a shell: eval "$(muniment env azure ...)".  Azure's SDKs need no other change than the
    vault's address.  With --secret-file the secret is printed too: as that of a managed identity,
    which DefaultAzureCredential finds, or as a client's, for `muniment secret --url` and for programs
    that make a ClientSecretCredential without asking Microsoft whether the authority is known.
    """
    base = base_of(domain, port)
    if identity is not None:
        if tenant_id is not None or client_id is not None:
            raise Usage("--identity says the client and its tenant")
        tenant_id, client_id = _looked_up(session, identity)
    variables = {
        "AZURE_AUTHORITY_HOST": base,
        **_given("AZURE_TENANT_ID", tenant_id),
        **_given("AZURE_CLIENT_ID", client_id),
    }
    if secret_file is not None:
        secret = _secret(Path(secret_file))
        # Never both: with a client's secret at hand DefaultAzureCredential looks no further, and
        # fails where login.microsoftonline.com cannot be asked about our authority.
        if credential == "client-secret":
            variables["AZURE_CLIENT_SECRET"] = secret
        else:
            variables["IDENTITY_ENDPOINT"] = f"{base}/msi/token"
            variables["IDENTITY_HEADER"] = secret
    variables |= _trust(tls_directory(session, tls))
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    session.output.raw("".join(lines), variables)
    if client_id is None:
        session.terminal.note(_NO_CLIENT)


@command("az-cli")
@domain_option
@port_option
@tls_option
def az_cli(session: Session, domain: str, port: int, tls: Path | None) -> None:
    """Print the commands that point the Azure CLI at the service.

    They keep their settings apart from those of your other clouds, in a directory of their own.
    """
    base = base_of(domain, port)
    suffix = base.replace("https://", ".")
    trust = _trust(tls_directory(session, tls)).get("REQUESTS_CA_BUNDLE")
    commands = [
        f'export AZURE_CONFIG_DIR="$HOME/.azure-{domain}"',
        *([] if trust is None else [f"export REQUESTS_CA_BUNDLE={shlex.quote(trust)}"]),
        f"az cloud register --name {_CLOUD} --endpoint-resource-manager {base}"
        f" --endpoint-active-directory {base} --endpoint-active-directory-resource-id {base}/"
        f" --suffix-keyvault-dns {suffix}",
        f"az cloud set --name {_CLOUD}",
        "az config set core.instance_discovery=false",
        "az login --service-principal --username CLIENT_ID --tenant TENANT_ID --allow-no-subscriptions",
    ]
    session.output.raw("".join(line + "\n" for line in commands), {"commands": commands})


def base_of(domain: str, port: int) -> str:
    """The service's address.  Raise DomainInvalid."""
    from server.certificates import check_domain

    return f"https://{check_domain(domain)}" + ("" if port == 443 else f":{port}")


def _looked_up(session: Session, name: str) -> tuple[str, str]:
    from cli.identity import identities

    with identities(session) as known:
        return known.tenant, known.roll.named(name).client_id


def _given(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _trust(directory: Path) -> dict[str, str]:
    """Whom to trust; nothing if the certificate is vouched for by others."""
    authority = directory / "ca.pem"
    if not authority.is_file():
        return {}
    names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    return dict.fromkeys(names, str(authority))


def _secret(path: Path) -> str:
    try:
        first = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise FileUnusable(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingInvalid(f"{path} holds no text") from None
    if not first or "\0" in first:
        raise SettingInvalid(f"{path} holds no secret")
    return first
