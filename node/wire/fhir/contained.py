"""People and organisations of XDS metadata as contained resources (IHE MHD 4.2; TF-3 4.2.3.1.7).

XCN ``id^family^given^further^suffix^prefix^^^&oid&ISO``, XON (``identifiers.parse_xon``), XTN, and
sourcePatientInfo, whose values are ``PID-n|value``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from node.errors import WireError
from node.model import Author, PatientId
from node.wire import document_codes
from node.wire.fhir.elements import GENDERS, Json, fhir_time, identifier, kept
from node.wire.identifiers import Institution, is_oid, parse_xon
from node.wire.timestamps import parse_date

_DAY = 8
_MOST = 50
_MAIL = "@"


@dataclass(slots=True)
class Contained:
    """The resources of one DocumentReference, and how they are named in it."""

    resources: list[Json] = field(default_factory=list)

    def add(self, resource: Json) -> str:
        """Take a resource in; gives the reference to it."""
        name = f"c{len(self.resources) + 1}"
        self.resources.append({"resourceType": resource["resourceType"], "id": name, **resource})
        return f"#{name}"


def contained_author(author: Author, held: Contained) -> str | None:
    """The reference to an author, or ``None`` where nothing is known or there are too many.

    A person alone is a Practitioner, an institution alone an Organization; together, or with a role
    or specialty, they are a PractitionerRole.
    """
    if len(held.resources) >= _MOST:
        return None
    organizations = [found for text in author.institutions if (found := _organization(text))]
    telecoms = [found for text in author.telecoms if (found := _telecom(text))]
    is_plain = not author.roles and not author.specialties
    if author.person and is_plain and not organizations:
        return held.add(_practitioner(author.person, telecoms))
    if not author.person and is_plain:
        return held.add(organizations[0] | kept({"telecom": telecoms})) if organizations else None
    practitioner = held.add(_practitioner(author.person, [])) if author.person else None
    organization = held.add(organizations[0]) if organizations else None
    return held.add(
        kept(
            {
                "resourceType": "PractitionerRole",
                "practitioner": {"reference": practitioner} if practitioner else None,
                "organization": {"reference": organization} if organization else None,
                "code": [{"text": _readable(role)} for role in author.roles],
                "specialty": [{"text": _readable(each)} for each in author.specialties],
                "telecom": telecoms,
            }
        )
    )


def contained_person(xcn: str, held: Contained) -> str | None:
    """The reference to a person who signed."""
    return held.add(_practitioner(xcn, [])) if len(held.resources) < _MOST else None


def contained_patient(
    info: Sequence[str], source_id: PatientId | None, held: Contained
) -> str | None:
    """The reference to the person as the source knew them, or ``None`` where it does not say."""
    known = dict(text.partition("|")[::2] for text in reversed(info))
    name = [*known.get("PID-5", "").split("^"), "", "", "", "", ""]
    address = [*known.get("PID-11", "").split("^"), "", "", "", "", "", ""]
    made = kept(
        {
            "identifier": [identifier(source_id)] if source_id else [],
            "name": _distinct(
                {
                    "family": name[0],
                    "given": [given for given in name[1:3] if given],
                    "suffix": [name[3]] if name[3] else [],
                    "prefix": [name[4]] if name[4] else [],
                }
            ),
            "gender": GENDERS.get(known.get("PID-8", "")[:1]) or _other(known.get("PID-8", "")),
            "birthDate": fhir_time((parse_date(known.get("PID-7", "")) or "")[:_DAY]),
            "address": _distinct(
                {
                    "line": [line for line in address[0:2] if line],
                    "city": address[2],
                    "state": address[3],
                    "postalCode": address[4],
                    "country": address[5],
                }
            ),
        }
    )
    return held.add({"resourceType": "Patient", **made}) if made else None


def _other(code: str) -> str | None:
    return {"O": "other", "A": "other", "U": "unknown"}.get(code[:1])


def _distinct(element: Json) -> list[Json]:
    found = kept(element)
    return [found] if found else []


def _practitioner(xcn: str, telecoms: list[Json]) -> Json:
    parts = [*xcn.split("^"), *[""] * 9]
    authority = [*parts[8].split("&"), "", ""][1]
    name = {
        "family": parts[1],
        "given": [given for given in (parts[2], *parts[3].split(" ")) if given],
        "suffix": [parts[4]] if parts[4] else [],
        "prefix": [parts[5]] if parts[5] else [],
    }
    known = kept(name) or {"text": parts[0]}
    is_named = parts[0] and is_oid(authority)
    own = {"system": document_codes.fhir_uri(authority), "value": parts[0]}
    return kept(
        {
            "resourceType": "Practitioner",
            "identifier": [own] if is_named else [],
            "name": [known],
            "telecom": telecoms,
        }
    )


def _organization(text: str) -> Json | None:
    try:
        found = parse_xon(text)
    except WireError:
        found = Institution(name=text.partition("^")[0] or text)
    if not found.name:
        return None
    own: Json | None = None
    if found.id and found.assigning_authority:
        own = {"system": document_codes.fhir_uri(found.assigning_authority), "value": found.id}
    elif found.id and is_oid(found.id):
        own = {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{found.id}"}
    return kept(
        {
            "resourceType": "Organization",
            "identifier": [own] if own else [],
            "name": found.name,
        }
    )


def _telecom(xtn: str) -> Json | None:
    """``^^Internet^address`` or a number, wherever it stands."""
    parts = [part for part in xtn.split("^") if part]
    mail = next((part for part in parts if _MAIL in part), None)
    if mail is not None:
        return {"system": "email", "value": mail}
    digits = next((part for part in parts if sum(c.isdigit() for c in part) > 3), None)  # noqa: PLR2004
    return {"system": "phone", "value": digits} if digits else None


def _readable(text: str) -> str:
    """A role or specialty is a text or a code with its system behind it."""
    return text.partition("^")[0] or text.strip("^&")
