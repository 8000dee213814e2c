"""Cross-Gateway Document Provide (ITI-80): the SOAP parts, without the documents' bytes.

The request is a ProvideAndRegisterDocumentSet-b with the community it is meant for; documents
travel as MTOM parts beside it. The answer is a RegistryResponse. What is wrong with the *metadata*
is no error of the message: it becomes registry errors of the answer (``submission_check``).

Source: IHE XCDR supplement, ITI TF-2 3.41.4.1 and 3.80.4.1; ITI TF-3 4.2.1; facts ihe-wire 5, 15,
17.7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from lxml import etree

from node.errors import LimitError, WireError
from node.model import (
    DeliveryAnswer,
    DocumentEntry,
    HomeCommunityId,
    RegistryError,
    Severity,
)
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.document_entry import parse_document_entry
from node.wire.ebxml import Owner, registry_terms, slot_text, slots_of
from node.wire.elements import Group, escaped, first, grouped, limited, new_root
from node.wire.extrinsic_object import document_entry_text
from node.wire.identifiers import home_community_id
from node.wire.mtom import Attached, Inline, binary_content
from node.wire.names import LCM, RIM, RS, XDSB, XOP
from node.wire.registry_errors import build_errors, parse_errors, parse_status, settle_status
from node.wire.submission_set import SubmissionSet, parse_submission_set, submission_set_text
from node.wire.xml import serialize

__all__ = [
    "Submission",
    "parse_delivery_answer",
    "parse_submission",
    "write_delivery_answer",
    "write_submission",
]

_MAX_OBJECTS = 5000
_TARGET = "homeCommunityId"
_HEAD = (
    f'<ihe:ProvideAndRegisterDocumentSetRequest xmlns:ihe="{XDSB}" xmlns:lcm="{LCM}"'
    f' xmlns:rs="{RS}" xmlns:rim="{RIM}" xmlns:xop="{XOP}"><lcm:SubmitObjectsRequest>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submission as its SOAP part tells it.

    Attributes:
        target: the community it is meant for; ``None`` where it names none that could be one.
        submission_set: what binds the documents; ``None`` where there is none.
        documents: the entries.
        contents: the bytes of each ``Document``, or the part they are in, by the entry's id.
        limited: ids of entries that are labelled as carrying limited metadata.
        members: ids that the submission set holds by HasMember.
        problems: errors found while reading; such a submission is not taken.
        warnings: what of it is not kept.
    """

    target: HomeCommunityId | None
    submission_set: SubmissionSet | None
    documents: tuple[DocumentEntry, ...] = ()
    contents: Mapping[str, Attached | Inline] = field(default_factory=dict)
    limited: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    problems: tuple[RegistryError, ...] = ()
    warnings: tuple[RegistryError, ...] = ()


def _ihe(name: str) -> str:
    return f"{{{XDSB}}}{name}"


# --- request ----------------------------------------------------------------------------------


def write_submission(
    target: HomeCommunityId,
    submission_set: SubmissionSet,
    documents: Sequence[tuple[DocumentEntry, str]],
) -> bytes:
    """The body of an ITI-80 request as UTF-8 XML that declares all its namespaces.

    Args:
        target: the community that is to take the documents.
        submission_set: what binds them.
        documents: each entry with the Content-ID of its part, without ``<>``.

    Raises:
        OurFault: ``entry-incomplete``, ``text-not-xml``.
    """
    owner = Owner(submission_set.entry_uuid)
    member = registry_terms().associations["has_member"]
    return "".join(
        (
            _HEAD,
            f"<rs:RequestSlotList>{slot_text(_TARGET, (target,))}</rs:RequestSlotList>",
            "<rim:RegistryObjectList>",
            *[document_entry_text(entry, home=None) for entry, _ in documents],
            submission_set_text(submission_set),
            *[
                f'<rim:Association id="urn:uuid:{_member_id(place)}" associationType="{member}"'
                f' sourceObject="{owner.id}" targetObject="{escaped(entry.entry_uuid, "id")}">'
                f"{slot_text('SubmissionSetStatus', ('Original',))}</rim:Association>"
                for place, (entry, _) in enumerate(documents)
            ],
            "</rim:RegistryObjectList></lcm:SubmitObjectsRequest>",
            *[
                f'<ihe:Document id="{escaped(entry.entry_uuid, "id")}">'
                f'<xop:Include href="cid:{escaped(quote(part, safe="@"), "href")}"/></ihe:Document>'
                for entry, part in documents
            ],
            "</ihe:ProvideAndRegisterDocumentSetRequest>",
        )
    ).encode()


def _member_id(place: int) -> str:
    """Ids within the message alone, which nobody refers to; in the form that every check passes."""
    return f"00000000-0000-4000-8000-{place + 1:012x}"


def parse_submission(
    element: etree._Element, *, repository: str
) -> tuple[Submission, tuple[ContentDeviation, ...]]:
    """Read the body of an ITI-80 request; ``repository`` is ours, which the entries get.

    Raises:
        WireError: ``submission-invalid`` when it is no ProvideAndRegisterDocumentSetRequest;
            ``mtom-malformed`` for an xop:Include that does not refer to a part.
        LimitError: ``too-many-values`` past 5,000 objects, ``value-too-long``.
    """
    if element.tag != _ihe("ProvideAndRegisterDocumentSetRequest"):
        raise _invalid("The body is no ProvideAndRegisterDocumentSetRequest.")
    groups = grouped(element)
    submit = first(groups, "SubmitObjectsRequest")
    if submit is None:
        raise _invalid("The request has no SubmitObjectsRequest.")
    deviations = Deviations()
    inside = grouped(submit)
    objects = grouped(first(inside, "RegistryObjectList"))
    if sum(map(len, objects.values())) > _MAX_OBJECTS:
        raise LimitError(
            "too-many-values",
            f"The submission has more than {_MAX_OBJECTS} objects.",
            where="RegistryObjectList",
        )
    nodes = _nodes(objects)
    documents, problems = _documents(objects, deviations, repository)
    submission_set, further = _submission_set(objects, nodes, deviations)
    members, warnings = _relations(objects, submission_set)
    if any(registry_terms().nodes["folder"] in found for found in nodes.values()):
        warnings = (*warnings, _warning(registry_terms().relation_warnings["folder"]))
    if any(entry.extra_slots for entry in documents):
        warnings = (*warnings, _warning("XDSExtraMetadataNotSaved"))
    limited_entry = registry_terms().nodes["limited_entry"]
    submission = Submission(
        target=_target(inside, deviations),
        submission_set=submission_set,
        documents=documents,
        contents=_contents(groups.get("Document", []), deviations),
        limited=frozenset(name for name, found in nodes.items() if limited_entry in found),
        members=members,
        problems=(*problems, *further),
        warnings=warnings,
    )
    return submission, deviations.seen()


def _target(inside: Group, deviations: Deviations) -> HomeCommunityId | None:
    slots = slots_of(grouped(first(inside, "RequestSlotList")).get("Slot", ()))
    raw = slots.get(_TARGET, ("",))[0]
    try:
        target = home_community_id(raw)
    except WireError:
        return None
    if target != raw:
        deviations.add(ContentDeviation.HOME_COMMUNITY_FORM)
    return target


def _nodes(objects: Group) -> dict[str, set[str]]:
    """Which nodes classify which object, by a Classification inside it or beside it."""
    found: dict[str, set[str]] = {}
    for name in ("ExtrinsicObject", "RegistryPackage"):
        for each in objects.get(name, ()):
            for inner in grouped(each).get("Classification", ()):
                node = (inner.get("classificationNode") or "").strip().lower()
                found.setdefault((each.get("id") or "").strip(), set()).add(node)
    for each in objects.get("Classification", ()):
        node = (each.get("classificationNode") or "").strip().lower()
        found.setdefault((each.get("classifiedObject") or "").strip(), set()).add(node)
    return found


def _documents(
    objects: Group, deviations: Deviations, repository: str
) -> tuple[tuple[DocumentEntry, ...], tuple[RegistryError, ...]]:
    documents: list[DocumentEntry] = []
    problems: list[RegistryError] = []
    for place, each in enumerate(objects.get("ExtrinsicObject", ()), start=1):
        try:
            documents.append(parse_document_entry(each, deviations, recipient=repository))
        except LimitError:
            raise
        except WireError:
            problems.append(_metadata(f"Document entry {place} has no id or no uniqueId."))
    return tuple(documents), tuple(problems)


def _submission_set(
    objects: Group, nodes: Mapping[str, set[str]], deviations: Deviations
) -> tuple[SubmissionSet | None, tuple[RegistryError, ...]]:
    terms = registry_terms().nodes
    packages = [
        each
        for each in objects.get("RegistryPackage", ())
        if terms["submission_set"] in nodes.get((each.get("id") or "").strip(), set())
    ]
    if len(packages) != 1:
        return None, (_metadata("The submission must have one submission set."),)
    name = (packages[0].get("id") or "").strip()
    is_limited = terms["limited_set"] in nodes.get(name, set())
    found = parse_submission_set(packages[0], deviations, is_limited=is_limited)
    if not (found.unique_id and found.source_id):
        return found, (_metadata("The submission set has no uniqueId or no sourceId."),)
    return found, ()


def _relations(
    objects: Group, submission_set: SubmissionSet | None
) -> tuple[frozenset[str], tuple[RegistryError, ...]]:
    """What the submission set holds, and a warning for each kind of relation that is not kept."""
    own = submission_set.entry_uuid if submission_set else None
    members: set[str] = set()
    warnings: dict[str, None] = {}
    table = registry_terms().relation_warnings
    for each in objects.get("Association", ()):
        kind = (each.get("associationType") or "").strip().rpartition(":")[2]
        source, target = (each.get(n) or "" for n in ("sourceObject", "targetObject"))
        if kind == registry_terms().associations["has_member"].rpartition(":")[2]:
            if source.strip() == own:
                members.add(target.strip())
            continue
        warnings[table.get(kind, table["other"])] = None
    return frozenset(members), tuple(_warning(code) for code in warnings)


def _contents(
    elements: Sequence[etree._Element], deviations: Deviations
) -> dict[str, Attached | Inline]:
    found: dict[str, Attached | Inline] = {}
    for each in elements:
        content = binary_content(each)
        if isinstance(content, Inline):
            for name in content.deviations:
                deviations.add(ContentDeviation(str(name)))
        found[limited(each.get("id") or "", "Document/@id")] = content
    return found


# --- answer -----------------------------------------------------------------------------------


def write_delivery_answer(answer: DeliveryAnswer, *, home: HomeCommunityId) -> bytes:
    """The body of an ITI-80 answer; ``home`` is the location of errors that name none."""
    root = new_root(f"{{{RS}}}RegistryResponse", {"rs": RS})
    root.set("status", answer.status.value)
    build_errors(root, answer.errors, location=home)
    return serialize(root)


def parse_delivery_answer(
    element: etree._Element,
) -> tuple[DeliveryAnswer, tuple[ContentDeviation, ...]]:
    """Read the body of an ITI-80 answer.

    Raises:
        WireError: ``delivery-answer-invalid`` when it is no RegistryResponse.
        LimitError: ``too-many-values``, ``value-too-long``.
    """
    if element.tag != f"{{{RS}}}RegistryResponse":
        raise WireError("delivery-answer-invalid", "The body is no RegistryResponse.", where="/")
    deviations = Deviations()
    stated = parse_status(element, deviations)
    errors = parse_errors(element, deviations)
    status = settle_status(stated, errors, has_data=False, deviations=deviations)
    return DeliveryAnswer(status=status, errors=errors), deviations.seen()


def _invalid(sentence: str) -> WireError:
    return WireError("submission-invalid", sentence, where="/")


def _metadata(sentence: str) -> RegistryError:
    return RegistryError(code="XDSRegistryMetadataError", context=sentence)


def _warning(code: str) -> RegistryError:
    return RegistryError(
        code=code, context="This part was not processed.", severity=Severity.WARNING
    )
