"""What is wrong with one entry, seen alone. Pure; the network's rules are in ``network``.

An import runs these on every row. A finding never removes an entry: whether an entry is used is
decided by policy, and by what the entry can be used for (an address that is no https URL is never
called). Sources are named in ``data/findings.toml`` and ``data/rules.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources

from stdnum import luhn

from directory.address import host_of
from directory.finding import Finding, finding
from directory.model import Endpoint, Organization, PostalAddress

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_URN = "urn:oid:"
_MAX_OID = 64
_LOST_ZEROS = re.compile(r"[0-9]{3,4}(-?[0-9]{4})?")
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The parameters of the checks (``data/rules.toml``)."""

    treatment_purposes: frozenset[str]
    leaf_types: frozenset[str]
    tefcaid_domains: frozenset[str]
    npi_prefix: str
    zip_countries: frozenset[str]
    test_words: frozenset[str]


@lru_cache
def rules() -> Rules:
    """The rules that come with the package."""
    text = resources.files("directory").joinpath("data/rules.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return Rules(
        treatment_purposes=frozenset(table["treatment_purposes"]),
        leaf_types=frozenset(table["leaf_types"]),
        tefcaid_domains=frozenset(table["tefcaid_domains"]),
        npi_prefix=table["npi_prefix"],
        zip_countries=frozenset(table["zip_countries"]),
        test_words=frozenset(table["test_words"]),
    )


def is_oid(value: str) -> bool:
    """Whether a bare OID is well formed and, with ``urn:oid:``, at most 64 characters long."""
    return len(_URN) + len(value) <= _MAX_OID and _OID.fullmatch(value) is not None


def is_npi(value: str, prefix: str) -> bool:
    """Whether an NPI has ten digits and a right check digit (Luhn over prefix and number)."""
    return re.fullmatch(r"[0-9]{10}", value) is not None and bool(luhn.is_valid(prefix + value))


def check_organization(
    organization: Organization, rules: Rules, *, where: str | None = None
) -> Iterator[Finding]:
    """The findings of one organisation and of the endpoints it contains."""
    identity = organization.id
    yield from _check_identifiers(organization, rules, where)
    yield from _check_purposes(organization, rules, where)
    for address in organization.addresses:
        if _lost_zeros(address, rules):
            yield finding("zip-leading-zeros", identity, where, value=address.postal_code)
    if organization.type is None:
        yield finding("missing-type", identity, where)
    if not organization.active:
        yield finding("inactive", identity, where)
    if not rules.test_words.isdisjoint(_WORD.findall(organization.name.casefold())):
        yield finding("test-looking-name", identity, where)
    for endpoint in organization.endpoints:
        yield from check_endpoint(endpoint, identity, where=where)


def check_possession(
    organization: Organization, rules: Rules, *, endpoints: int, where: str | None = None
) -> Iterator[Finding]:
    """Rules on having endpoints at all; ``endpoints`` counts contained and standalone ones."""
    if not endpoints:
        return
    if organization.type in rules.leaf_types:
        yield finding("leaf-with-endpoint", organization.id, where, value=organization.type)
    if organization.initiator_only:
        yield finding("initiator-only-with-endpoint", organization.id, where)


def check_endpoint(
    endpoint: Endpoint, resource_id: str, *, where: str | None = None
) -> Iterator[Finding]:
    """The findings of one endpoint; they stand under ``resource_id``."""
    if not endpoint.address:
        yield finding("endpoint-no-address", resource_id, where, endpoint=endpoint.id)
    elif host_of(endpoint.address) is None:
        yield finding("endpoint-bad-url", resource_id, where, endpoint=endpoint.id)
    if not endpoint.active:
        yield finding(
            "endpoint-not-active", resource_id, where, endpoint=endpoint.id, value=endpoint.status
        )


def check_period(
    endpoint: Endpoint, resource_id: str, *, now: datetime, where: str | None = None
) -> Iterator[Finding]:
    """A finding when ``now`` lies outside the endpoint's period, compared by day in UTC."""
    if endpoint.period is None:
        return
    today = now.date().isoformat()
    start, end = endpoint.period.start, endpoint.period.end
    # a FHIR date of lower precision is a prefix: "2026" includes every day of 2026
    early = start is not None and today[: len(start[:10])] < start[:10]
    late = end is not None and today[: len(end[:10])] > end[:10]
    if early or late:
        yield finding("endpoint-expired", resource_id, where, endpoint=endpoint.id)


def _check_identifiers(
    organization: Organization, rules: Rules, where: str | None
) -> Iterator[Finding]:
    identity = organization.id
    if organization.home_community_id is None:
        yield finding("no-hcid", identity, where)
    oids = [
        *(("home community id", v, v.startswith(_URN)) for v in organization.home_community_ids),
        *(("assigning authority", v, True) for v in organization.assigning_authorities),
        *(("TEFCAID", v, True) for v in organization.tefca_ids if v.startswith(_URN)),
    ]
    for what, value, prefixed in oids:
        if not prefixed or not is_oid(value.removeprefix(_URN)):
            yield finding("malformed-oid", identity, where, what=what, value=value)
    if not organization.tefca_ids and not rules.tefcaid_domains.isdisjoint(organization.domains):
        yield finding("no-tefcaid", identity, where)
    for value in organization.npis:
        if not is_npi(value, rules.npi_prefix):
            yield finding("npi-check-digit", identity, where, value=value)


def _check_purposes(
    organization: Organization, rules: Rules, where: str | None
) -> Iterator[Finding]:
    if not organization.initiates:
        yield finding("no-purposes", organization.id, where)
    elif not organization.npis and not rules.treatment_purposes.isdisjoint(organization.initiates):
        yield finding("treatment-without-npi", organization.id, where)


def _lost_zeros(address: PostalAddress, rules: Rules) -> bool:
    country = (address.country or "").strip().upper()
    return (
        address.postal_code is not None
        and country in rules.zip_countries
        and _LOST_ZEROS.fullmatch(address.postal_code) is not None
    )
