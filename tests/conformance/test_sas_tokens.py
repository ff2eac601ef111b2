"""Tokens are those that Azure's own libraries make of the same parameters, for generated templates.

Sources: azure-storage-blob, -queue, -file-share and azure-data-tables, each of which signs with the
service version that it speaks.  What they make serves as a template, as Key Vault's users do it; its
signature and expiry are then replaced, and must come out the same under the same key.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

from azure.core.credentials import AzureNamedKeyCredential
from azure.data import tables
from azure.storage import blob, fileshare, queue
from hypothesis import given
from hypothesis import strategies as st

from vault import sas

ACCOUNT = "shop"
EXPIRES = 1_790_000_000
EXPIRY = datetime.fromtimestamp(EXPIRES, UTC)

KEYS = st.binary(min_size=64, max_size=64)
SHARED = {
    "start": st.none()
    | st.integers(1_600_000_000, 1_900_000_000).map(lambda when: datetime.fromtimestamp(when, UTC)),
    "protocol": st.sampled_from([None, "https", "https,http"]),
}
IPS = st.sampled_from([None, "192.0.2.1", "192.0.2.1-192.0.2.9"])
POLICIES = st.none() | st.text("abcdefgh0123456789-", min_size=1, max_size=20)
# What a path or a header may hold and an address must quote.
WORDS = st.text("abcXYZ019 -_.~%+=&'()\u00fc\u2603", min_size=1, max_size=12).filter(
    lambda word: word.strip(".") != "" and word == word.strip()
)
NAMES = st.text("abcdefghij0123456789", min_size=3, max_size=12)
HEADERS = st.none() | st.text('abc/; ="é\u2603+&%', min_size=1, max_size=12)
OVERRIDES = dict.fromkeys(
    (
        "cache_control",
        "content_disposition",
        "content_encoding",
        "content_language",
        "content_type",
    ),
    HEADERS,
)


def permissions(letters: str) -> st.SearchStrategy[str]:
    """Some of *letters*, in their order, as Azure wants them."""
    return st.sets(st.sampled_from(letters), min_size=1).map(
        lambda some: "".join(one for one in letters if one in some)
    )


def check(sas_type: str, template: str, token: str, key: bytes) -> None:
    """What we mint of *template* is *token*, in whatever order its parameters stand."""
    read = sas.read(sas_type, template)
    minted = sas.mint(read, read.account or ACCOUNT, key, EXPIRES)
    assert dict(parse_qsl(minted.value[1:])) == dict(parse_qsl(token))


def key_text(key: bytes) -> str:
    return b64encode(key).decode()


def given_parts(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}


@given(
    key=KEYS,
    services=permissions("bqtf"),
    types=permissions("sco"),
    allowed=permissions("rwdxlacuptf"),
    parts=st.fixed_dictionaries({**SHARED, "ip": IPS, "encryption_scope": POLICIES}),
)
def test_an_account_sas_is_the_same(
    key: bytes, services: str, types: str, allowed: str, parts: dict[str, Any]
) -> None:
    token = blob.generate_account_sas(
        ACCOUNT,
        key_text(key),
        types,
        allowed,
        EXPIRY,
        services=services,
        **given_parts(parts),
    )
    check("account", token, token, key)


@given(
    key=KEYS,
    container=NAMES,
    name=st.none() | st.lists(WORDS, min_size=1, max_size=3).map("/".join),
    allowed=permissions("racwdxyltmeopi"),
    parts=st.fixed_dictionaries(
        {**SHARED, **OVERRIDES, "ip": IPS, "encryption_scope": POLICIES, "policy_id": POLICIES}
    ),
    moment=st.sampled_from([None, "snapshot", "version_id"]),
)
def test_a_sas_for_a_container_or_a_blob_is_the_same(
    key: bytes,
    container: str,
    name: str | None,
    allowed: str,
    parts: dict[str, Any],
    moment: str | None,
) -> None:
    shared = {"permission": allowed, "expiry": EXPIRY, **given_parts(parts)}
    place = f"https://{ACCOUNT}.blob.core.windows.net/{container}"
    if name is None:
        token = blob.generate_container_sas(ACCOUNT, container, key_text(key), **shared)
        check("service", f"{place}?{token}", token, key)
        return
    when = "2026-01-02T03:04:05.1234567Z"
    extra: dict[str, Any] = {} if moment is None else {moment: when}
    token = blob.generate_blob_sas(
        ACCOUNT, container, name, account_key=key_text(key), **shared, **extra
    )
    # Which one it is for stands in the address, and not in the token.
    more = "" if moment is None else f"&{moment.replace('_', '')}={when}"
    check("service", f"{place}/{quoted(name)}?{token}{more}", token, key)


@given(
    key=KEYS,
    share=NAMES,
    path=st.none() | st.lists(WORDS, min_size=1, max_size=3),
    allowed=permissions("rcwdl"),
    parts=st.fixed_dictionaries({**SHARED, **OVERRIDES, "ip": IPS, "policy_id": POLICIES}),
)
def test_a_sas_for_a_share_or_a_file_is_the_same(
    key: bytes, share: str, path: list[str] | None, allowed: str, parts: dict[str, Any]
) -> None:
    shared = {"permission": allowed, "expiry": EXPIRY, **given_parts(parts)}
    place = f"https://{ACCOUNT}.file.core.windows.net/{share}"
    if path is None:
        token = fileshare.generate_share_sas(ACCOUNT, share, key_text(key), **shared)
        check("service", f"{place}?{token}", token, key)
        return
    token = fileshare.generate_file_sas(ACCOUNT, share, path, key_text(key), **shared)
    check("service", f"{place}/{quoted('/'.join(path))}?{token}", token, key)


@given(
    key=KEYS,
    name=NAMES,
    allowed=permissions("raup"),
    parts=st.fixed_dictionaries({**SHARED, "ip": IPS, "policy_id": POLICIES}),
)
def test_a_sas_for_a_queue_is_the_same(
    key: bytes, name: str, allowed: str, parts: dict[str, Any]
) -> None:
    token = queue.generate_queue_sas(
        ACCOUNT, name, key_text(key), permission=allowed, expiry=EXPIRY, **given_parts(parts)
    )
    check("service", f"https://{ACCOUNT}.queue.core.windows.net/{name}?{token}", token, key)


@given(
    key=KEYS,
    name=st.from_regex("[A-Za-z][A-Za-z0-9]{2,12}", fullmatch=True),
    allowed=permissions("raud"),
    parts=st.fixed_dictionaries(
        {
            **SHARED,
            "ip_address_or_range": IPS,
            "policy_id": POLICIES,
            **dict.fromkeys(("start_pk", "start_rk", "end_pk", "end_rk"), st.none() | WORDS),
        }
    ),
)
def test_a_sas_for_a_table_is_the_same(
    key: bytes, name: str, allowed: str, parts: dict[str, Any]
) -> None:
    token = tables.generate_table_sas(
        AzureNamedKeyCredential(ACCOUNT, key_text(key)),
        name,
        permission=allowed,
        expiry=EXPIRY,
        **given_parts(parts),
    )
    check("service", f"https://{ACCOUNT}.table.core.windows.net/{name}?{token}", token, key)


def quoted(path: str) -> str:
    return quote(path, safe="/")
