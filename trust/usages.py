"""What a certificate is used for, and what it must therefore say (``data/usages.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources


class Usage(StrEnum):
    """One role of a certificate in the network (facts pki A1)."""

    TLS_SERVER = "tls-server"
    TLS_CLIENT = "tls-client"
    SAML_SIGNER = "saml-signer"
    UDAP_SIGNER = "udap-signer"
    CRL_SIGNER = "crl-signer"
    OCSP_SIGNER = "ocsp-signer"


PARTNER_USES = (Usage.TLS_SERVER, Usage.TLS_CLIENT, Usage.SAML_SIGNER, Usage.UDAP_SIGNER)
"""The roles of partners, for which anchors are authorised; the others serve revocation."""


class Signs(StrEnum):
    """What a role's key signs, which keyUsage must allow where it is present."""

    DATA = "data"
    CRLS = "crls"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRule:
    """What a usage demands of extendedKeyUsage, as dotted OIDs.

    Attributes:
        requests: what we ask a CA for.
        accepts: at least one of these must be present when the extension is; none when the
            extension does not matter.
        required: whether the extension itself must be present.
        signs: what the key signs.
        may_be_ca: whether a CA's certificate may have the role.
    """

    requests: tuple[str, ...]
    accepts: frozenset[str]
    required: bool
    signs: Signs
    may_be_ca: bool


def usage_rule(usage: Usage) -> UsageRule:
    """The rule of a usage."""
    return _rules()[usage]


@lru_cache
def any_purpose() -> str:
    """The OID of anyExtendedKeyUsage, which is never enough."""
    return str(_table()["any-purpose"]["oid"])


@lru_cache
def _rules() -> Mapping[Usage, UsageRule]:
    table = _table()
    return {
        usage: UsageRule(
            requests=tuple(table[usage]["requests"]),
            accepts=frozenset(table[usage]["accepts"]),
            required=bool(table[usage]["required"]),
            signs=Signs(str(table[usage]["signs"])),
            may_be_ca=bool(table[usage]["may-be-ca"]),
        )
        for usage in Usage
    }


@lru_cache
def _table() -> dict[str, dict[str, list[str]]]:
    text = resources.files("trust").joinpath("data/usages.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
