"""An organisation as a FHIR R4 Bundle in the RCE form, for others to import. Pure.

What :func:`export_bundle` writes, ``fhir.read_organizations`` reads back to an equal value, for
organisations whose codes the RCE form has: local settings (suspended, profile) are never written.
Contained endpoints stay contained, standalone ones become entries of their own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from typing import Any

from directory.mapping import built_in
from directory.model import Contact, Endpoint, Organization, PostalAddress, PublishedKey

Json = dict[str, Any]


def export_bundle(organization: Organization) -> Json:
    """The entry and its standalone endpoints as a collection Bundle."""
    loose = [endpoint for endpoint in organization.endpoints if not endpoint.contained]
    entries = [_organization(organization), *(_endpoint(e, organization.id) for e in loose)]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": entry} for entry in entries],
    }


@lru_cache
def _form() -> Json:
    text = resources.files("directory").joinpath("data/rce.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _organization(organization: Organization) -> Json:
    form = _form()
    contained = [e for e in organization.endpoints if e.contained]
    loose = [e for e in organization.endpoints if not e.contained]
    resource = {
        "resourceType": "Organization",
        "id": organization.id,
        "meta": _filled(profile=_profiles(organization), lastUpdated=organization.last_updated),
        "contained": [_endpoint(endpoint, organization.id) for endpoint in contained],
        "extension": list(_extensions(organization)),
        "identifier": list(_identifiers(organization)),
        "active": organization.active,
        "type": [{"coding": [_coding(form["type_system"], organization.type)]}]
        if organization.type
        else None,
        "name": organization.name,
        "address": [_address(address) for address in organization.addresses],
        "partOf": _reference(organization.part_of),
        "contact": [_contact(contact) for contact in organization.contacts],
        "endpoint": [
            *({"reference": f"#{endpoint.id}"} for endpoint in contained),
            *({"reference": f"Endpoint/{endpoint.id}"} for endpoint in loose),
        ],
    }
    return _filled(**resource)


def _profiles(organization: Organization) -> list[str]:
    if organization.profiles:
        return list(organization.profiles)
    name = _form()["profiles"].get(organization.type)
    return [_form()["profile"] + name] if name else []


def _identifiers(organization: Organization) -> Iterable[Json]:
    form = _form()
    for code, values in (
        ("HCID", organization.home_community_ids),
        ("TEFCAID", organization.tefca_ids),
        ("AAID", tuple(f"urn:oid:{value}" for value in organization.assigning_authorities)),
    ):
        for value in values:
            yield {
                "type": {"coding": [_coding(form["identifier_type_system"], code)]},
                "system": form["identifier_system"],
                "value": value,
            }
    for value in organization.npis:
        yield {"system": form["npi_system"], "value": value}


def _extensions(organization: Organization) -> Iterable[Json]:
    form = _form()
    urls = form["extensions"]
    for domain in organization.domains:
        yield {"url": urls["domains"], "valueCoding": _coding(form["domain_system"], domain)}
    if organization.managing_organization:
        reference = _reference(organization.managing_organization)
        yield {"url": urls["managing_organization"], "valueReference": reference}
    for use_case in organization.use_cases:
        yield _concept(urls["use_cases"], form["use_case_system"], use_case)
    yield from _purposes(organization.initiates)
    yield from _transactions(organization.initiates_transactions)
    if organization.initiator_only:
        domain = next(iter(organization.domains), "RCE")
        yield {"url": urls["initiator_only"], "valueCoding": _coding(form["domain_system"], domain)}
    if organization.node_type:
        yield {"url": urls["node_type"], "valueCodeableConcept": _codings(organization.node_type)}
    for delegate in organization.delegates:
        yield {"url": urls["delegation"], "valueReference": _reference(delegate)}
    for key in organization.keys:
        yield {"url": urls["published_key"], "extension": list(_key_parts(key))}


def _key_parts(key: PublishedKey) -> Iterable[Json]:
    yield {"url": "use", "valueCode": key.use}
    yield {"url": "value", "valueString": key.value}
    if key.address:
        yield {"url": "address", "valueUrl": key.address}


def _purposes(purposes: frozenset[str]) -> Iterable[Json]:
    """Purposes in the code system that knows them: TEFCA's, else NHIN's."""
    form = _form()
    known = built_in().purposes
    for purpose in sorted(purposes):
        tefca = (form["purpose_system"], purpose) in known
        system = form["purpose_system"] if tefca else form["nhin_purpose_system"]
        yield _concept(form["extensions"]["purposes"], system, purpose)


def _transactions(transactions: frozenset[str]) -> Iterable[Json]:
    form = _form()
    for transaction in sorted(transactions):
        code = form["transactions"].get(transaction)
        if code is not None:
            url = form["extensions"]["transactions"]
            yield _concept(url, form["transaction_system"], code)


def _endpoint(endpoint: Endpoint, organization_id: str) -> Json:
    form = _form()
    urls = form["extensions"]
    extensions = [*_transactions(endpoint.transactions), *_purposes(endpoint.responds)]
    if endpoint.version:
        extensions.append({"url": urls["version"], "valueString": endpoint.version})
    extensions.extend(
        {"url": urls["roles"], "valueCodeableConcept": _codings(role)} for role in endpoint.roles
    )
    connection = endpoint.connection_type or next(
        (form["connections"][t] for t in sorted(endpoint.transactions) if t in form["connections"]),
        None,
    )
    period = endpoint.period
    return _filled(
        resourceType="Endpoint",
        id=endpoint.id,
        extension=extensions,
        status=endpoint.status or "active",
        connectionType=_coding(form["connection_system"], connection) if connection else None,
        name=endpoint.name,
        managingOrganization=_reference(organization_id),
        period=_filled(start=period.start, end=period.end) if period else None,
        payloadType=[{"coding": [_coding(form["payload_type_system"], form["payload_type_code"])]}],
        address=endpoint.address,
    )


def _address(address: PostalAddress) -> Json:
    return _filled(
        text=address.text,
        line=list(address.lines),
        city=address.city,
        state=address.state,
        postalCode=address.postal_code,
        country=address.country,
    )


def _contact(contact: Contact) -> Json:
    system = _form()["contact_purpose_system"]
    return _filled(
        purpose={"coding": [_coding(system, contact.purpose)]} if contact.purpose else None,
        name={"text": contact.name} if contact.name else None,
        telecom=[
            *({"system": "phone", "value": phone} for phone in contact.phones),
            *({"system": "email", "value": email} for email in contact.emails),
        ],
    )


def _filled(**fields: Any) -> Json:
    """The fields that have a value: FHIR allows no empty element."""
    return {name: value for name, value in fields.items() if value not in (None, [], {}, "")}


def _coding(system: str, code: str | None) -> Json:
    return {"system": system, "code": code}


def _codings(code: str) -> Json:
    return {"coding": [{"code": code}]}


def _concept(url: str, system: str, code: str) -> Json:
    return {"url": url, "valueCodeableConcept": {"coding": [_coding(system, code)]}}


def _reference(identity: str | None) -> Json | None:
    return {"reference": f"Organization/{identity}"} if identity else None
