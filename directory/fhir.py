"""FHIR R4 Organization and Endpoint resources to directory values, for any community's mapping.

Pure. Endpoints may be contained or stand alone (then :func:`attach` or the store joins them
with their organisation). Everything that is left out or looks wrong is a finding of the row. The
shapes are those of facts/tefca 7.0; where forms differ, the mapping decides.

Example::

    organizations, findings = read_organizations(rows_of_bundle(bundle), community_mapping())
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from directory.elements import (
    ID,
    Notes,
    coding,
    concept,
    link,
    objects,
    reference,
    text,
    texts,
)
from directory.extensions import Extensions, extensions_of, purposes_of, transactions_of
from directory.finding import Finding, finding
from directory.mapping import CommunityMapping, meaning
from directory.model import Contact, Endpoint, Organization, Period, PostalAddress
from directory.rows import Resource, Row

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*)){3,}")
_URN = "urn:oid:"


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseEndpoint:
    """A standalone endpoint, not yet joined with its organisation.

    ``inherits``: it lists no purposes, and its community means those of the organisation.
    """

    endpoint: Endpoint
    organization_id: str | None
    inherits: bool
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one row holds: an organisation and ids of its standalone endpoints, or an endpoint."""

    organization: Organization | None = None
    endpoint_refs: tuple[str, ...] = ()
    endpoint: LooseEndpoint | None = None
    findings: tuple[Finding, ...] = ()
    where: str = ""


def read_row(row: Row, mapping: CommunityMapping) -> Reading:
    """Read one resource. A row that cannot be used gives findings only."""
    kind = row.resource.get("resourceType")
    if kind not in ("Organization", "Endpoint"):
        shown = kind if isinstance(kind, str) else "row without resourceType"
        return Reading(
            findings=(finding("ignored-resource", None, row.where, kind=shown),), where=row.where
        )
    identity = row.resource.get("id")
    if not isinstance(identity, str) or not identity:
        return Reading(findings=(finding("no-id", None, row.where, kind=kind),), where=row.where)
    if not ID.fullmatch(identity):
        return Reading(findings=(finding("bad-id", None, row.where, kind=kind),), where=row.where)
    notes = Notes(identity, row.where)
    if kind == "Endpoint":
        endpoint, inherits = _endpoint(row.resource, identity, mapping, notes, contained=False)
        loose = LooseEndpoint(
            endpoint=endpoint,
            organization_id=link(row.resource, "managingOrganization", notes),
            inherits=inherits,
            where=row.where,
        )
        return Reading(endpoint=loose, findings=tuple(notes.findings), where=row.where)
    organization, refs = _organization(row.resource, identity, mapping, notes)
    return Reading(
        organization=organization,
        endpoint_refs=refs,
        findings=tuple(notes.findings),
        where=row.where,
    )


def read_organizations(
    rows: Iterable[Row | Finding], mapping: CommunityMapping
) -> tuple[tuple[Organization, ...], tuple[Finding, ...]]:
    """Read and join a bundle that fits in memory; a large directory goes through the store."""
    findings: list[Finding] = []
    organizations: dict[str, Reading] = {}
    endpoints: dict[str, LooseEndpoint] = {}
    for row in rows:
        if isinstance(row, Finding):
            findings.append(row)
            continue
        reading = read_row(row, mapping)
        findings.extend(reading.findings)
        if reading.organization is not None:
            if reading.organization.id in organizations:
                findings.append(finding("duplicate-id", reading.organization.id, row.where))
            else:
                organizations[reading.organization.id] = reading
        elif reading.endpoint is not None:
            if reading.endpoint.endpoint.id in endpoints:
                findings.append(finding("duplicate-id", reading.endpoint.endpoint.id, row.where))
            else:
                endpoints[reading.endpoint.endpoint.id] = reading.endpoint
    joined, remarks = _join(organizations, endpoints)
    return joined, (*findings, *remarks)


def attach(organization: Organization, loose: Iterable[tuple[Endpoint, bool]]) -> Organization:
    """The organisation with standalone endpoints (and whether each inherits) joined to it."""
    added = [
        replace(endpoint, responds=organization.initiates) if inherits else endpoint
        for endpoint, inherits in loose
    ]
    if not added:
        return organization
    endpoints = sorted((*organization.endpoints, *added), key=lambda e: (not e.contained, e.id))
    return replace(organization, endpoints=tuple(endpoints))


def _join(
    readings: dict[str, Reading], endpoints: dict[str, LooseEndpoint]
) -> tuple[tuple[Organization, ...], list[Finding]]:
    findings = []
    used: set[str] = set()
    chosen: dict[str, list[LooseEndpoint]] = {}
    for identity, reading in readings.items():
        for ref in reading.endpoint_refs:
            if ref in endpoints:
                chosen.setdefault(identity, []).append(endpoints[ref])
                used.add(ref)
            else:
                findings.append(finding("missing-endpoint", identity, reading.where, endpoint=ref))
    for ref, loose in endpoints.items():
        if ref in used:
            continue
        if loose.organization_id in readings:
            chosen.setdefault(str(loose.organization_id), []).append(loose)
        else:
            findings.append(finding("endpoint-without-organization", ref, loose.where))
    joined = tuple(
        attach(reading.organization, ((e.endpoint, e.inherits) for e in chosen.get(identity, ())))
        for identity, reading in readings.items()
        if reading.organization is not None
    )
    return joined, findings


# --- Organization -------------------------------------------------------------------------------


def _organization(
    resource: Resource, identity: str, mapping: CommunityMapping, notes: Notes
) -> tuple[Organization, tuple[str, ...]]:
    identifiers = _identifiers(resource, mapping, notes)
    extensions = extensions_of(resource, mapping, notes)
    hcids = tuple(_as_urn(value) for value in identifiers.get("home-community-id", ()))
    if not hcids and _OID.fullmatch(identity):
        hcids = (_URN + identity,)  # Carequality: the id is the dotted HCID
    initiates = frozenset(purposes_of(extensions.codes("purposes"), mapping, notes))
    active = resource.get("active", True)
    if not isinstance(active, bool):
        notes.add("bad-form", element="active")
        active = False  # an entry whose state cannot be read is not used
    contained, refs = _endpoints(resource, initiates, mapping, notes)
    name = text(resource, "name", notes, 500)
    if name is None:
        notes.add("no-name")
    meta = resource.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    organization = Organization(
        id=identity,
        name=name or identity,
        active=active,
        home_community_ids=_unique(hcids),
        tefca_ids=_unique(identifiers.get("tefca-id", ())),
        assigning_authorities=_unique(
            value.removeprefix(_URN) for value in identifiers.get("assigning-authority", ())
        ),
        npis=_unique(identifiers.get("npi", ())),
        type=_type(resource, mapping, notes),
        part_of=link(resource, "partOf", notes),
        managing_organization=next(iter(extensions.references("managing-organization")), None),
        initiates=initiates,
        initiates_transactions=frozenset(
            transactions_of(extensions.codes("transactions"), mapping, notes)
        ),
        domains=_unique(
            means
            for system, code in extensions.codes("domains")
            for means in meaning(mapping.domains, system, code) or (code,)
        ),
        use_cases=_unique(code for _, code in extensions.codes("use-cases")),
        initiator_only=extensions.flag("initiator-only"),
        node_type=next((code for _, code in extensions.codes("node-type")), None),
        delegates=_unique(extensions.references("delegation")),
        keys=extensions.keys(),
        profiles=texts(meta, "profile", notes),
        addresses=tuple(_address(item, notes) for item in objects(resource, "address", notes)),
        contacts=tuple(_contact(item, notes) for item in objects(resource, "contact", notes)),
        endpoints=contained,
        last_updated=text(meta, "lastUpdated", notes),
    )
    return organization, refs


def _as_urn(value: str) -> str:
    return _URN + value if _OID.fullmatch(value) else value


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _identifiers(
    resource: Resource, mapping: CommunityMapping, notes: Notes
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in objects(resource, "identifier", notes):
        kind = item.get("type")
        types = concept(kind, notes) if isinstance(kind, dict) else ()
        means = mapping.identifier(text(item, "system", notes) or "", types)
        value = text(item, "value", notes, 200)
        if means is not None and value is not None:
            found.setdefault(means, []).append(value)
    return found


def _type(resource: Resource, mapping: CommunityMapping, notes: Notes) -> str | None:
    for item in objects(resource, "type", notes):
        for system, code in concept(item, notes):
            if found := meaning(mapping.types, system, code):
                return found[0]
    return None


def _address(item: Resource, notes: Notes) -> PostalAddress:
    return PostalAddress(
        lines=texts(item, "line", notes),
        city=text(item, "city", notes),
        state=text(item, "state", notes),
        postal_code=text(item, "postalCode", notes),
        country=text(item, "country", notes),
        text=text(item, "text", notes),
    )


def _contact(item: Resource, notes: Notes) -> Contact:
    purpose, name = item.get("purpose"), item.get("name")
    codes = concept(purpose, notes) if isinstance(purpose, dict) else ()
    telecoms = [
        (text(telecom, "system", notes), text(telecom, "value", notes))
        for telecom in objects(item, "telecom", notes)
    ]
    return Contact(
        purpose=codes[0][1] if codes else None,
        name=_person(name, notes) if isinstance(name, dict) else None,
        phones=tuple(value for system, value in telecoms if system == "phone" and value),
        emails=tuple(value for system, value in telecoms if system == "email" and value),
    )


def _person(name: Resource, notes: Notes) -> str | None:
    parts = (*texts(name, "given", notes), text(name, "family", notes))
    return text(name, "text", notes) or " ".join(part for part in parts if part) or None


# --- Endpoint -----------------------------------------------------------------------------------


def _endpoints(
    resource: Resource, initiates: frozenset[str], mapping: CommunityMapping, notes: Notes
) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """Contained endpoints, and the ids of standalone ones.

    A contained endpoint is used when the organisation refers to it, as FHIR asks, and also when it
    refers to none at all.
    """
    contained: dict[str, Endpoint] = {}
    for item in objects(resource, "contained", notes):
        if item.get("resourceType") != "Endpoint":
            continue
        identity = item.get("id")
        if not isinstance(identity, str) or not ID.fullmatch(identity.removeprefix("#")):
            notes.add("bad-id" if identity else "no-id", kind="contained Endpoint")
            continue
        identity = identity.removeprefix("#")
        if identity in contained:
            notes.add("duplicate-id")
            continue
        endpoint, inherits = _endpoint(item, identity, mapping, notes, contained=True)
        contained[identity] = replace(endpoint, responds=initiates) if inherits else endpoint
    used: list[str] = []
    refs: list[str] = []
    for item in objects(resource, "endpoint", notes):
        target = reference(item, "Endpoint")
        if target is None:
            notes.add("bad-form", element="endpoint")
        elif not target.startswith("#"):
            refs.append(target)
        elif target[1:] in contained:
            used.append(target[1:])
        else:
            notes.add("missing-endpoint", endpoint=target)
    chosen = dict.fromkeys(used) if used else contained
    return tuple(contained[identity] for identity in sorted(chosen)), _unique(refs)


def _endpoint(
    resource: Resource,
    identity: str,
    mapping: CommunityMapping,
    notes: Notes,
    *,
    contained: bool,
) -> tuple[Endpoint, bool]:
    """An endpoint, and whether it takes its purposes from its organisation."""
    extensions = extensions_of(resource, mapping, notes)
    connection = resource.get("connectionType")
    pair = coding(connection, notes) if isinstance(connection, dict) else None
    name = text(resource, "name", notes, 500)
    purposes = extensions.codes("purposes")
    period = resource.get("period")
    endpoint = Endpoint(
        id=identity,
        address=text(resource, "address", notes, 2000),
        transactions=_served(extensions, pair, name, mapping, notes),
        responds=frozenset(purposes_of(purposes, mapping, notes)),
        connection_type=pair[1] if pair else None,
        status=text(resource, "status", notes),
        version=next((code for _, code in extensions.codes("version")), None),
        roles=_unique(code for _, code in extensions.codes("roles")),
        period=Period(start=text(period, "start", notes), end=text(period, "end", notes))
        if isinstance(period, dict)
        else None,
        name=name,
        contained=contained,
    )
    return endpoint, mapping.purposes_of_organization and not purposes


def _served(
    extensions: Extensions,
    connection: tuple[str, str] | None,
    name: str | None,
    mapping: CommunityMapping,
    notes: Notes,
) -> frozenset[str]:
    """Stated transactions; else what the community's endpoint name says; else the connection type.

    A stated transaction that is not known serves nothing: it must not fall back to all that the
    connection type allows.
    """
    stated = extensions.codes("transactions")
    if stated:
        return frozenset(transactions_of(stated, mapping, notes))
    if name is not None:
        named = mapping.endpoint_names.get(" ".join(name.casefold().split()))
        if named is not None:
            return frozenset(named)
    allowed = meaning(mapping.connections, *connection) if connection else None
    if allowed is None:
        notes.add("unknown-connection-type", value=connection[1] if connection else "(none)")
    return frozenset(allowed or ())
