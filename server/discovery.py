"""What the token authority tells everybody: where it is, what it can do, and its public keys.

Each is made of the authority's address, the roll, and the time in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.http import Response, json_response
from server.roll import Roll
from server.signatures import ASSERTION_ALGORITHMS, published
from server.tokens import own_issuer

_PUBLIC: Final = (("Cache-Control", "public, max-age=3600"),)

Telling = Callable[[str, Roll, int], Response]


def configuration(base: str, roll: Roll, _: int) -> Response:
    """OpenID Connect Discovery 1.0: where tokens are given out, and how."""
    authority = f"{base}/{roll.tenant}"
    described = {
        "issuer": own_issuer(base, roll.tenant),
        "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
        "token_endpoint": f"{authority}/oauth2/v2.0/token",
        "jwks_uri": f"{authority}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "client_secret_basic",
            "private_key_jwt",
        ],
        "token_endpoint_auth_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "response_modes_supported": ["form_post"],
        "scopes_supported": [f"{base}/.default"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid", "appid"],
    }
    return json_response(200, described, _PUBLIC)


def keys(_: str, roll: Roll, now: int) -> Response:
    """The public keys of tokens that may still be good (RFC 7517)."""
    shown = [
        published(key.kid, key.public)
        for key in roll.signing
        if key.retires is None or key.retires > now
    ]
    return json_response(200, {"keys": shown}, _PUBLIC)


def instance(base: str, roll: Roll, _: int) -> Response:
    """What MSAL asks before it believes an authority: this one has no other names."""
    host = base.partition("://")[2]
    config = f"{base}/{roll.tenant}/v2.0/.well-known/openid-configuration"
    network = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
    told = {
        "tenant_discovery_endpoint": config,
        "api-version": "1.1",
        "metadata": [network],
    }
    return json_response(200, told, _PUBLIC)


def endpoints(base: str, roll: Roll, _: int) -> Response:
    """What `az cloud register` and its kin read: this service is the resource manager as well."""
    host = base.partition("://")[2]
    told = {
        "name": "Muniment",
        "authentication": {
            "loginEndpoint": base,
            "audiences": [f"{base}/", base],
            "tenant": roll.tenant,
            "identityProvider": "AAD",
        },
        "resourceManager": base,
        "suffixes": {"keyVaultDns": host},
    }
    return json_response(200, told, _PUBLIC)
