"""A client proves who it is with what its key signed, as Azure's libraries sign it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from server.identities import client_keys
from server.tokens import Unauthenticated
from support.sign_in import (
    EC,
    EC_PRIVATE,
    NOW,
    OTHER_RSA,
    RESOURCE,
    RSA,
    RSA_PRIVATE,
    Service,
    service,
    signed,
)

_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PUBLIC = [
    private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for private in (RSA_PRIVATE, EC_PRIVATE)
]


def assertion(made: Service, client_id: str, key: RSAKey | ECKey, algorithm: str) -> str:
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": f"{RESOURCE}/{made.tenant}/oauth2/v2.0/token",
        "exp": NOW + 600,
    }
    return signed(claims, key, alg=algorithm)


def signs_in(made: Service, client_id: str, said: str) -> bool:
    response = made.post(
        f"/{made.tenant}/oauth2/v2.0/token",
        grant_type="client_credentials",
        client_id=client_id,
        client_assertion_type=_BEARER,
        client_assertion=said,
        scope=f"{RESOURCE}/.default",
    )
    return response.status == 200


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
def test_a_client_signs_in_with_what_its_key_signed(
    tmp_path: Path, algorithm: str, key: RSAKey | ECKey
) -> None:
    with service(tmp_path) as made:
        keys = tuple(one for pem in PUBLIC for one in client_keys(pem))
        client_id = made.identities.add("app", keys=keys).application.client_id
        said = assertion(made, client_id, key, algorithm)
        head, body, _ = said.split(".")
        other = assertion(made, client_id, OTHER_RSA, "PS256").split(".")[2]
        assert signs_in(made, client_id, said)
        assert not signs_in(made, client_id, f"{head}.{body}.{other}")


def test_an_assertion_may_be_padded_if_the_padding_was_signed(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        client_id = made.identities.add("app", keys=client_keys(PUBLIC[0])).application.client_id
        parts = assertion(made, client_id, RSA, "RS256").split(".")[:2]
        whole = ".".join(part + "=" * (-len(part) % 4) for part in parts)
        signature = RSA_PRIVATE.sign(whole.encode(), PKCS1v15(), SHA256())
        assert "=" in whole
        said = f"{whole}.{urlsafe_b64encode(signature).decode()}"
        assert signs_in(made, client_id, said)
        assert not signs_in(made, client_id, said.replace("=.", ".", 1))


def test_an_algorithm_for_assertions_alone_signs_no_access_token(tmp_path: Path) -> None:
    with service(tmp_path) as made:
        made.identities.add("app", keys=client_keys(PUBLIC[0]))
        with pytest.raises(Unauthenticated, match="algorithm"):
            made.who(signed({"iss": "x", "aud": RESOURCE, "exp": NOW + 600}, RSA, alg="PS256"))
