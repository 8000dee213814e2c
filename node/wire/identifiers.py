"""Identifiers as HL7 and XDS write them: OIDs, home community ids, CX and XON.

The model keeps a home community id as ``urn:oid:…`` and every other OID bare; these functions are
the edge where the wire's forms become the model's. They accept what partners send (bare or
``urn:oid:``, in any letter case, with white space around) and refuse what no partner can mean.

Sources: ITI TF-3 4.2.3.1.7 (CX, XCN, XON), 4.2.3.2.12 (homeCommunityId: at most 64 characters).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from node.errors import WireError
from node.model import HomeCommunityId, PatientId, hl7_escaped

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_URN_OID = "urn:oid:"
_OID_LENGTH = 64
_TEXT_LENGTH = 512


def _invalid(sentence: str) -> WireError:
    return WireError("identifier-invalid", sentence)


def is_oid(text: str) -> bool:
    """Whether a text is one bare OID: digits and dots, no leading zeros, at most 64 characters."""
    return len(text) <= _OID_LENGTH and _OID.fullmatch(text) is not None


def bare_oid(text: str) -> str:
    """An OID without ``urn:oid:``, from either form.

    Raises:
        WireError: ``identifier-invalid`` when it is not an OID of at most 64 characters.
    """
    stripped = text.strip()
    if stripped[: len(_URN_OID)].lower() == _URN_OID:
        stripped = stripped[len(_URN_OID) :]
    if not is_oid(stripped):
        raise _invalid("An identifier is not an OID.")
    return stripped


@lru_cache(maxsize=4096)  # each message names its communities several times
def home_community_id(text: str) -> HomeCommunityId:
    """A home community id as the model keeps it, from ``1.2.3`` or ``urn:oid:1.2.3``.

    Raises:
        WireError: ``identifier-invalid`` when it is no OID, or longer than 64 characters with its
            prefix (ITI TF-3 4.2.3.2.12).
    """
    urn = _URN_OID + bare_oid(text)
    if len(urn) > _OID_LENGTH:
        raise _invalid("A home community id is longer than 64 characters.")
    return HomeCommunityId(urn)


def same_community(one: str, other: str) -> bool:
    """Whether two texts name the same community, whatever form each has; false if one is none."""
    try:
        return home_community_id(one) == home_community_id(other)
    except WireError:
        return False


def _unescape(text: str) -> str:
    r"""Undo HL7 v2 escapes (``\S\`` is ``^``, ``\T\`` is ``&`` ...), which components may hold."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], text)


_ESCAPE = re.compile(r"\\([FSTRE])\\")
_ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}


def parse_cx(text: str) -> PatientId:
    """A patient id from CX form ``id^^^&oid&ISO``.

    Quotes around the whole (stored-query values) are not removed here: that is the query's syntax.

    Raises:
        WireError: ``identifier-invalid`` when the id or the authority's OID is missing, when the
            universal id type is not ISO, or when it is longer than 512 characters.
    """
    if len(text) > _TEXT_LENGTH:
        raise _invalid("A patient id is longer than 512 characters.")
    components = text.strip().split("^")
    if len(components) < 4 or not components[0]:  # noqa: PLR2004 - CX-4 is the authority
        raise _invalid("A patient id is not in the form id^^^&oid&ISO.")
    authority = components[3].split("&")
    if len(authority) != 3 or authority[2].strip().upper() != "ISO":  # noqa: PLR2004 - HD has 3 parts
        raise _invalid("The assigning authority of a patient id is not in the form &oid&ISO.")
    return PatientId(assigning_authority=bare_oid(authority[1]), id=_unescape(components[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Institution:
    """An organisation as XON carries it: name, and its id with or without an authority's OID."""

    name: str
    id: str | None = None
    assigning_authority: str | None = None


def parse_xon(text: str) -> Institution:
    """An institution from XON form ``Name^^^^^&oid&ISO^^^^id``, or a name alone.

    An id that is itself an OID may stand in XON-10 without an authority (ITI TF-3 4.2.3.1.7).

    Raises:
        WireError: ``identifier-invalid`` when there is no name, when the authority is no OID, or
            when it is longer than 512 characters.
    """
    if len(text) > _TEXT_LENGTH:
        raise _invalid("An institution is longer than 512 characters.")
    components = [part.strip() for part in text.strip().split("^")]
    if not components[0]:
        raise _invalid("An institution has no name.")
    components += [""] * (10 - len(components))
    authority = components[5].split("&")
    oid = bare_oid(authority[1]) if len(authority) > 1 and authority[1].strip() else None
    return Institution(
        name=_unescape(components[0]),
        id=_unescape(components[9]) or None,
        assigning_authority=oid,
    )


def build_xon(institution: Institution) -> str:
    """XON form; the shortest that holds what is known."""
    name = hl7_escaped(institution.name)
    if institution.id is None:
        return name
    authority = institution.assigning_authority
    return f"{name}^^^^^{f'&{authority}&ISO' if authority else ''}^^^^{hl7_escaped(institution.id)}"


def is_document_unique_id(text: str) -> bool:
    """Whether a text fits DocumentUniqueId: 1 to 128 printable characters without white space.

    The standard says ``oid[^ext]``; partners use UUID URNs and local forms as well, and a retrieve
    must carry what the query returned, so the form of the OID is not checked.
    """
    return 0 < len(text) <= 128 and text.isprintable() and " " not in text  # noqa: PLR2004 - TF-3 4.2.3.2.26
