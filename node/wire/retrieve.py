"""RetrieveDocumentSet request and answer (ITI-39): the SOAP part, without the documents' bytes.

Documents travel as MTOM parts that stream beside this part, so an answer is built with references
(``xop:Include``) and read into ``RetrieveHead``: for each document the ids and either the content
id of its part or the bytes that stood inline (base64, or not encoded at all).

Ids are kept as received: a retrieve must repeat them byte for byte.

Source: ITI TF-2 3.39.4.1, 3.43.4.1; W3C XOP; facts ihe-wire 1, 4, 13, 17.4.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from lxml import etree

from node.errors import LimitError, WireError
from node.model import (
    DocumentRef,
    HomeCommunityId,
    RegistryError,
    ResponseStatus,
)
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, add, first, grouped, new_root, value_of
from node.wire.identifiers import same_community
from node.wire.names import RS, XDSB, XOP
from node.wire.registry_errors import build_errors, parse_errors, parse_status, settle_status
from node.wire.xml import children, local_name, serialize, text

__all__ = [
    "DocumentPart",
    "RetrieveHead",
    "RetrieveItem",
    "build_retrieve_request",
    "build_retrieve_response",
    "check_document_ref",
    "parse_retrieve_request",
    "parse_retrieve_response",
]

_MAX_DOCUMENTS = 1000
_NSMAP: dict[str | None, str] = {"ihe": XDSB, "rs": RS, "xop": XOP}
_WHITE = str.maketrans("", "", " \t\r\n")
_ALPHABET = re.compile(r"[A-Za-z0-9+/=\s]*+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPart:
    """One document to be sent: its ids, type, and the Content-ID of its part without ``<>``.

    The new ids are those of a document made on demand.
    """

    ref: DocumentRef
    mime_type: str
    content_id: str
    new_repository_unique_id: str | None = None
    new_document_unique_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveItem:
    """One document of an answer: in the part ``content_id``, or ``inline``; never both.

    Neither means that the answer has no content for it (an error, counted as deviation).
    """

    ref: DocumentRef
    mime_type: str
    content_id: str | None = None
    inline: bytes | None = None
    new_repository_unique_id: str | None = None
    new_document_unique_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveHead:
    """What the SOAP part of an answer says."""

    status: ResponseStatus
    items: tuple[RetrieveItem, ...] = ()
    errors: tuple[RegistryError, ...] = ()


def _ihe(name: str) -> str:
    return f"{{{XDSB}}}{name}"


# --- request ----------------------------------------------------------------------------------


def build_retrieve_request(refs: Sequence[DocumentRef]) -> etree._Element:
    """The body of an ITI-39 request; ids as they are.

    Raises:
        OurFault: ``text-not-xml`` for characters XML cannot carry.
    """
    root = new_root(_ihe("RetrieveDocumentSetRequest"), {"ihe": XDSB})
    for ref in refs:
        element = add(root, _ihe("DocumentRequest"))
        if ref.home_community_id:
            add(element, _ihe("HomeCommunityId"), ref.home_community_id)
        add(element, _ihe("RepositoryUniqueId"), ref.repository_unique_id)
        add(element, _ihe("DocumentUniqueId"), ref.document_unique_id)
    return root


def parse_retrieve_request(
    element: etree._Element,
) -> tuple[tuple[DocumentRef, ...], tuple[ContentDeviation, ...]]:
    """Read the body of an ITI-39 request; a missing id is an empty one (see check_document_ref).

    Raises:
        WireError: ``retrieve-invalid`` when the body is no RetrieveDocumentSetRequest or asks for
            nothing.
        LimitError: ``too-many-values`` past 1,000 documents, ``value-too-long``.
    """
    if element.tag != _ihe("RetrieveDocumentSetRequest"):
        raise WireError("retrieve-invalid", "The body is no RetrieveDocumentSetRequest.", where="/")
    deviations = Deviations()
    requests = grouped(element).get("DocumentRequest", [])
    if not requests:
        raise WireError(
            "retrieve-invalid", "The request names no document.", where="DocumentRequest"
        )
    _bounded(requests)
    return tuple(_ref(grouped(item), deviations) for item in requests), deviations.seen()


def check_document_ref(
    ref: DocumentRef, homes: Collection[HomeCommunityId]
) -> RegistryError | None:
    """The error for a requested document that cannot be looked up, ``None`` for a good one.

    ``XDSMissingHomeCommunityId``, ``XDSUnknownCommunity``, ``XDSUnknownRepositoryId`` and
    ``XDSDocumentUniqueIdError`` for missing ids. Whether repository and document exist is the
    record source's to say.
    """
    document = ref.document_unique_id
    if not ref.home_community_id:
        return RegistryError(
            code="XDSMissingHomeCommunityId", context=f"No homeCommunityId for {document}."
        )
    if not any(same_community(ref.home_community_id, home) for home in homes):
        return RegistryError(
            code="XDSUnknownCommunity",
            context=f"The homeCommunityId for {document} is not one of this gateway.",
        )
    if not ref.repository_unique_id:
        return RegistryError(
            code="XDSUnknownRepositoryId", context=f"No RepositoryUniqueId for {document}."
        )
    if not document:
        return RegistryError(code="XDSDocumentUniqueIdError", context="No DocumentUniqueId.")
    return None


# --- answer -----------------------------------------------------------------------------------


def build_retrieve_response(
    status: ResponseStatus,
    documents: Sequence[DocumentPart],
    errors: Sequence[RegistryError],
    *,
    home: HomeCommunityId,
) -> etree._Element:
    """The body of an ITI-39 answer; documents are references to parts of the same message.

    Args:
        status: Success, PartialSuccess or Failure.
        documents: in the order of their parts.
        errors: one for each document that is not there.
        home: HCID of this gateway, the location of errors that name none.

    Raises:
        OurFault: ``text-not-xml`` for characters XML cannot carry.
    """
    root = new_root(_ihe("RetrieveDocumentSetResponse"), _NSMAP)
    response = add(root, f"{{{RS}}}RegistryResponse", status=status.value)
    build_errors(response, errors, location=home)
    for part in documents:
        element = add(root, _ihe("DocumentResponse"))
        add(element, _ihe("HomeCommunityId"), part.ref.home_community_id)
        add(element, _ihe("RepositoryUniqueId"), part.ref.repository_unique_id)
        add(element, _ihe("DocumentUniqueId"), part.ref.document_unique_id)
        if part.new_repository_unique_id is not None:
            add(element, _ihe("NewRepositoryUniqueId"), part.new_repository_unique_id)
        if part.new_document_unique_id is not None:
            add(element, _ihe("NewDocumentUniqueId"), part.new_document_unique_id)
        add(element, _ihe("mimeType"), part.mime_type)
        document = add(element, _ihe("Document"))
        # RFC 2392: the Content-ID is percent-encoded in a cid URL.
        add(document, f"{{{XOP}}}Include", href="cid:" + quote(part.content_id, safe="@"))
    return root


def parse_retrieve_response(
    element: etree._Element,
) -> tuple[RetrieveHead, tuple[ContentDeviation, ...]]:
    """Read the SOAP part of an ITI-39 answer.

    Raises:
        WireError: ``retrieve-invalid`` when the body is no RetrieveDocumentSetResponse;
            ``document-base64`` for an inline document that is neither base64 nor plain text;
            ``document-reference`` for an xop:Include that does not refer to a part.
        LimitError: ``too-many-values`` past 1,000 documents, ``value-too-long``.
    """
    if element.tag != _ihe("RetrieveDocumentSetResponse"):
        raise WireError(
            "retrieve-invalid", "The body is no RetrieveDocumentSetResponse.", where="/"
        )
    deviations = Deviations()
    groups = grouped(element)
    response = first(groups, "RegistryResponse")
    if response is None:
        deviations.add(ContentDeviation.STATUS_MISSING)
        stated, errors = None, parse_errors(element, deviations)
    else:
        stated = parse_status(response, deviations)
        errors = (*parse_errors(response, deviations), *parse_errors(element, deviations))
    responses = groups.get("DocumentResponse", [])
    _bounded(responses)
    items = tuple(_item(child, deviations) for child in responses)
    has_data = any(item.content_id or item.inline is not None for item in items)
    status = settle_status(stated, errors, has_data=has_data, deviations=deviations)
    return RetrieveHead(status=status, items=items, errors=errors), deviations.seen()


def _bounded(elements: Sequence[etree._Element]) -> None:
    if len(elements) > _MAX_DOCUMENTS:
        raise LimitError(
            "too-many-values",
            f"The message names more than {_MAX_DOCUMENTS} documents.",
            where="RetrieveDocumentSet",
        )


def _ref(parts: Group, deviations: Deviations) -> DocumentRef:
    home = value_of(first(parts, "HomeCommunityId"))
    if home is None and "homeCommunityId" in parts:
        deviations.add(ContentDeviation.ELEMENT_CASE)
        home = value_of(first(parts, "homeCommunityId"))
    if home is None:
        deviations.add(ContentDeviation.HOME_MISSING)
    return DocumentRef(
        home_community_id=HomeCommunityId(home or ""),
        repository_unique_id=value_of(first(parts, "RepositoryUniqueId")) or "",
        document_unique_id=value_of(first(parts, "DocumentUniqueId")) or "",
    )


def _item(element: etree._Element, deviations: Deviations) -> RetrieveItem:
    parts = grouped(element)
    mime_type = value_of(first(parts, "mimeType"))
    if mime_type is None:
        deviations.add(ContentDeviation.MIME_TYPE_MISSING)
    content_id, inline = _content(first(parts, "Document"), deviations)
    return RetrieveItem(
        ref=_ref(parts, deviations),
        mime_type=mime_type or "application/octet-stream",
        content_id=content_id,
        inline=inline,
        new_repository_unique_id=value_of(first(parts, "NewRepositoryUniqueId")),
        new_document_unique_id=value_of(first(parts, "NewDocumentUniqueId")),
    )


def _content(
    document: etree._Element | None, deviations: Deviations
) -> tuple[str | None, bytes | None]:
    """The content id of a document's part, or its inline bytes."""
    if document is None:
        deviations.add(ContentDeviation.DOCUMENT_MISSING)
        return None, None
    inner = next(children(document), None)
    if inner is not None and local_name(inner) == "Include":
        return _content_id(inner), None
    deviations.add(ContentDeviation.DOCUMENT_INLINE)
    if inner is not None:
        deviations.add(ContentDeviation.DOCUMENT_UNENCODED)
        return None, serialize(inner)
    content = text(document)
    if not content:
        deviations.add(ContentDeviation.DOCUMENT_EMPTY)
        return None, b""
    if _ALPHABET.fullmatch(content) is None and (" " in content or content[0] in "<{%"):
        deviations.add(ContentDeviation.DOCUMENT_UNENCODED)
        return None, content.encode("utf-8")
    return None, _base64(content)


def _content_id(include: etree._Element) -> str:
    href = (include.get("href") or "").strip()
    content_id = unquote(href[4:]) if href[:4].lower() == "cid:" else ""
    if not content_id or len(content_id) > 1024:  # noqa: PLR2004 - far beyond any real one
        raise WireError(
            "document-reference",
            "An xop:Include does not refer to a part of the message.",
            where="DocumentResponse/Document/Include/@href",
        )
    return content_id


def _base64(content: str) -> bytes:
    """Strict base64 apart from white space: whole quanta, no stray bits, nothing after padding."""
    packed = content.translate(_WHITE)
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    tail = data[-(len(data) % 3 or 3) :]
    if not data or len(packed) % 4 or base64.b64encode(tail).decode() != packed[-4:]:
        raise WireError(
            "document-base64",
            "An inline document is not valid base64.",
            where="DocumentResponse/Document",
        )
    return data
