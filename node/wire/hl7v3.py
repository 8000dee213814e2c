"""HL7 v3 data types in XCPD messages: II, PN, AD, TEL, TS, gender.

Writing is strict; reading takes what partners send and names each departure. Values that mean
"nothing" (empty elements, a nullFlavor) read as ``None``.

Source: HL7 v3 XML ITS (data types release 1), ITI TF-2 3.55.4.1.2; facts ihe-wire 2.1, 13.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from node.errors import WireError
from node.model import Address, HomeCommunityId, PatientId, PersonName, Telecom
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import add, escaped, fill, grouped, limited, value_of
from node.wire.hl7v3_codes import vocabulary
from node.wire.identifiers import bare_oid, home_community_id, is_oid
from node.wire.names import HL7, XSI
from node.wire.timestamps import parse_date

__all__ = [
    "InstanceId",
    "attribute",
    "build_address",
    "build_id",
    "build_name",
    "build_patient_id",
    "build_telecom",
    "code_of",
    "fill_id",
    "hl7",
    "id_text",
    "parse_address",
    "parse_birth_date",
    "parse_home",
    "parse_id",
    "parse_name",
    "parse_patient_id",
    "parse_sex",
    "parse_telecom",
    "stated",
]

XSI_TYPE = f"{{{XSI}}}type"
_ADDRESS_LINES = ("streetAddressLine", "deliveryAddressLine")
_ADDRESS_PIECES = frozenset(
    {
        "houseNumber",
        "houseNumberNumeric",
        "direction",
        "streetName",
        "streetNameBase",
        "streetNameType",
        "unitType",
        "unitID",
        "additionalLocator",
        "careOf",
        "postBox",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceId:
    """II: a root (OID or UUID) and an extension inside it."""

    root: str
    extension: str | None = None


def hl7(name: str) -> str:
    """The Clark name of an HL7 v3 element."""
    return f"{{{HL7}}}{name}"


# --- reading ----------------------------------------------------------------------------------


def stated(element: etree._Element | None) -> bool:
    """Whether an element is there and says something (no nullFlavor, not xsi:nil)."""
    return (
        element is not None
        and element.get("nullFlavor") is None
        and element.get(f"{{{XSI}}}nil") not in ("true", "1")
    )


def attribute(
    element: etree._Element | None, name: str, deviations: Deviations, *, as_text: bool = True
) -> str | None:
    """An attribute's stripped value; the element's text where a partner puts the value there."""
    if element is None:
        return None
    raw = element.get(name)
    if raw is not None:
        return limited(raw, name) or None
    if not as_text or element.get("nullFlavor") is not None:
        return None
    content = value_of(element)
    if content is not None:
        deviations.add(ContentDeviation.VALUE_AS_TEXT)
    return content


def code_of(element: etree._Element | None, deviations: Deviations) -> str | None:
    """The ``code`` of a CE/CS."""
    return attribute(element, "code", deviations)


def parse_id(element: etree._Element | None, deviations: Deviations) -> InstanceId | None:
    """An II, or ``None`` when it has no root."""
    if element is None:
        return None
    root = limited(element.get("root") or "", "root")
    if not root:
        return None
    if root[:8].lower() == "urn:oid:":
        deviations.add(ContentDeviation.ID_ROOT_URN)
        root = root[8:]
    extension = limited(element.get("extension") or "", "extension")
    return InstanceId(root=root, extension=extension or None)


def parse_patient_id(element: etree._Element | None, deviations: Deviations) -> PatientId | None:
    """A patient's id: an II with root and extension, or ``None``."""
    identifier = parse_id(element, deviations)
    if identifier is None:
        return None
    if identifier.extension is None:
        deviations.add(ContentDeviation.ID_WITHOUT_EXTENSION)
        return None
    if not is_oid(identifier.root):
        deviations.add(ContentDeviation.ID_ROOT_NOT_OID)
    return PatientId(assigning_authority=identifier.root, id=identifier.extension)


def parse_home(element: etree._Element | None, deviations: Deviations) -> HomeCommunityId | None:
    """A home community id from the root of an II: a bare OID by the rule, ``urn:oid:`` tolerated.

    Raises:
        WireError: ``identifier-invalid`` when there is a root that is no OID.
    """
    root = limited(element.get("root") or "", "root") if element is not None else ""
    if not root:
        return None
    home = home_community_id(root)
    if root[:1] not in "012":
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
    return home


def parse_name(element: etree._Element | None, deviations: Deviations) -> PersonName | None:
    """A PN; families are joined by a space, a name in one text is split at its last word."""
    if element is None or not stated(element):
        return None
    parts = grouped(element)
    use = limited(element.get("use") or "", "use") or None
    name = PersonName(
        family=_joined(parts.get("family")),
        given=tuple(value for part in parts.get("given", ()) if (value := value_of(part))),
        prefix=_joined(parts.get("prefix")),
        suffix=_joined(parts.get("suffix")),
        use=use,
    )
    if name.family or name.given or name.prefix or name.suffix:
        return name
    whole = value_of(element)
    if whole is None:
        return None
    deviations.add(ContentDeviation.NAME_UNSTRUCTURED)
    *given, family = whole.split()
    return PersonName(family=family, given=tuple(given), use=use)


def parse_address(element: etree._Element | None, deviations: Deviations) -> Address | None:
    """An AD; a street given in pieces becomes one line."""
    if element is None or not stated(element):
        return None
    if value_of(element) is not None:
        deviations.add(ContentDeviation.STRAY_TEXT)  # a template's leftover, e.g. "<0>"
    parts = grouped(element)
    lines = [v for name in _ADDRESS_LINES for part in parts.get(name, ()) if (v := value_of(part))]
    if not _ADDRESS_PIECES.isdisjoint(parts):
        pieces = [
            value
            for part in element.iterchildren("*")
            if str(part.tag).rpartition("}")[2] in _ADDRESS_PIECES and (value := value_of(part))
        ]
        lines.extend([" ".join(pieces)] if pieces else [])
    address = Address(
        lines=tuple(lines),
        city=_joined(parts.get("city")),
        state=_joined(parts.get("state")),
        postal_code=_joined(parts.get("postalCode")),
        country=_joined(parts.get("country")),
        use=limited(element.get("use") or "", "use") or None,
    )
    known = (address.lines, address.city, address.state, address.postal_code, address.country)
    return address if any(known) else None


def parse_telecom(element: etree._Element | None, deviations: Deviations) -> Telecom | None:
    """A TEL with its value as written."""
    if element is None or not stated(element):
        return None
    value = attribute(element, "value", deviations)
    if value is None:
        return None
    return Telecom(value=value, use=limited(element.get("use") or "", "use") or None)


def parse_sex(element: etree._Element | None, deviations: Deviations) -> str | None:
    """AdministrativeGender ``M``, ``F`` or ``UN``; words are understood, "unknown" is ``None``.

    A code that means nothing to us is ``None`` as well, and counted.
    """
    code = code_of(element, deviations) if stated(element) else None
    if code is None or code in vocabulary().genders:
        return code
    deviations.add(ContentDeviation.GENDER_WORD)
    return vocabulary().gender_words.get(code.lower()) or None


def parse_birth_date(element: etree._Element | None, deviations: Deviations) -> str | None:
    """A TS or IVL as ``YYYY[MM[DD]]``; of an interval, the part that both ends share."""
    if element is None or not stated(element):
        return None
    raw = attribute(element, "value", deviations)
    if raw is None:
        ends = grouped(element)
        dates = [
            date
            for name in ("low", "center", "high")
            for end in ends.get(name, ())
            if (date := _date(attribute(end, "value", deviations), deviations))
        ]
        return _shared(dates)
    return _date(raw, deviations)


def _date(raw: str | None, deviations: Deviations) -> str | None:
    if raw is None:
        return None
    if "-" in raw[:8]:
        deviations.add(ContentDeviation.TIME_ISO)
    date = parse_date(raw)
    if date is None:
        deviations.add(ContentDeviation.TIME_INVALID)
    return date


def _shared(dates: list[str]) -> str | None:
    if not dates:
        return None
    for length in (8, 6, 4):
        head = dates[0][:length]
        if len(head) == length and all(date[:length] == head for date in dates):
            return head
    return None


def _joined(parts: list[etree._Element] | None) -> str | None:
    return " ".join(v for part in parts if (v := value_of(part))) or None if parts else None


# --- writing ----------------------------------------------------------------------------------


def build_id(parent: etree._Element, name: str, identifier: InstanceId) -> etree._Element:
    """Append an II.

    Raises:
        WireError: ``identifier-invalid`` when the root is empty.
    """
    return fill_id(add(parent, hl7(name)), identifier)


def fill_id(element: etree._Element, identifier: InstanceId) -> etree._Element:
    """Write an II into an element.

    Raises:
        WireError: ``identifier-invalid`` when the root is empty.
    """
    _check_root(str(element.tag).rpartition("}")[2], identifier)
    return fill(element, root=identifier.root, extension=identifier.extension)


def id_text(name: str, identifier: InstanceId) -> str:
    """An II as XML text, where HL7 v3 is the default namespace.

    Raises:
        WireError: ``identifier-invalid`` when the root is empty.
        OurFault: ``text-not-xml`` for characters XML cannot carry.
    """
    _check_root(name, identifier)
    extension = identifier.extension
    inside = f' extension="{escaped(extension, name)}"' if extension is not None else ""
    return f'<{name} root="{escaped(identifier.root, name)}"{inside}/>'


def _check_root(name: str, identifier: InstanceId) -> None:
    if not identifier.root:
        raise WireError("identifier-invalid", "An instance id to be sent has no root.", where=name)


def build_patient_id(parent: etree._Element, name: str, patient: PatientId) -> etree._Element:
    """Append a patient's id, its root bare."""
    root = patient.assigning_authority
    return add(
        parent, hl7(name), root=bare_oid(root) if ":" in root else root, extension=patient.id
    )


def build_name(parent: etree._Element, name: str, person: PersonName) -> etree._Element:
    """Append a PN: prefix, given, family, suffix."""
    element = add(parent, hl7(name), use=person.use)
    if person.prefix:
        add(element, hl7("prefix"), person.prefix)
    for given in person.given:
        add(element, hl7("given"), given)
    if person.family:
        add(element, hl7("family"), person.family)
    if person.suffix:
        add(element, hl7("suffix"), person.suffix)
    return element


def build_address(parent: etree._Element, name: str, address: Address) -> etree._Element:
    """Append an AD."""
    element = add(parent, hl7(name), use=address.use)
    for line in address.lines:
        add(element, hl7("streetAddressLine"), line)
    for part, value in (
        ("city", address.city),
        ("state", address.state),
        ("postalCode", address.postal_code),
        ("country", address.country),
    ):
        if value:
            add(element, hl7(part), value)
    return element


def build_telecom(parent: etree._Element, name: str, telecom: Telecom) -> etree._Element:
    """Append a TEL."""
    return add(parent, hl7(name), value=telecom.value, use=telecom.use)
