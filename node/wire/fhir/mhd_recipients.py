"""To whom a Provide Document Bundle (ITI-65) is to be sent on: who its submission set is for.

An intendedRecipient that is an organisation is one of three: a contained Organization with its home
community id as an identifier, a reference by that identifier alone, or a reference to the
Organization of the directory. Any other (a person, a mail address) is not somebody whom this node
can send to. Pure.

Source: IHE MHD 4.2 (the extension and its targets); ITI TF-3 4.2.3.3.7; facts fhir-and-udap 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.errors import WireError
from node.model import HomeCommunityId
from node.wire.fhir_values import Json, child, objects, text
from node.wire.identifiers import home_community_id

_EXTENSION: Final = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-intendedRecipient"
_URIS: Final = "urn:ietf:rfc:3986"
_OID: Final = "urn:oid:"
_ORGANIZATION: Final = "Organization/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """Whom a submission set names.

    Attributes:
        communities: by their home community id.
        organizations: by their id in the directory.
        others: how many are no organisation that can be sent to.
    """

    communities: tuple[HomeCommunityId, ...] = ()
    organizations: tuple[str, ...] = ()
    others: int = 0

    @property
    def is_sent(self) -> bool:
        """Whether anybody is to be sent the documents."""
        return bool(self.communities or self.organizations)


def read_recipients(submission: Json) -> Recipients:
    """The recipients of a submission set; each once."""
    communities: list[HomeCommunityId] = []
    organizations: list[str] = []
    others = 0
    for extension in objects(submission.get("extension")):
        if extension.get("url") != _EXTENSION:
            continue
        reference = child(extension, "valueReference")
        home = _home(reference, submission)
        named = (text(reference.get("reference")) or "").rpartition(_ORGANIZATION)
        if home is not None:
            communities.append(home)
        elif named[1] and named[2]:
            organizations.append(named[2].partition("/")[0])
        else:
            others += 1
    return Recipients(
        communities=tuple(dict.fromkeys(communities)),
        organizations=tuple(dict.fromkeys(organizations)),
        others=others,
    )


def _home(reference: Json, submission: Json) -> HomeCommunityId | None:
    identifiers = [child(reference, "identifier")]
    named = text(reference.get("reference")) or ""
    if named.startswith("#"):
        identifiers += [
            identifier
            for each in objects(submission.get("contained"))
            if each.get("resourceType") == "Organization" and f"#{each.get('id')}" == named
            for identifier in objects(each.get("identifier"))
        ]
    for identifier in identifiers:
        value = text(identifier.get("value")) or ""
        if identifier.get("system") == _URIS and value.startswith(_OID):
            try:
                return home_community_id(value)
            except WireError:
                continue
    return None
