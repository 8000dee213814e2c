"""Writes MTOM messages around content that streams: every method returns bytes, nothing is kept.

Example::

    writer = MtomWriter(boundary=f"node-{uuid}", root_cid=f"root-{uuid}@node")
    send(writer.head(envelope))
    send(writer.part_head(cid, "text/xml"))
    for chunk in document:
        send(chunk)
    send(writer.part_end())
    send(writer.tail())

``content_length`` gives the whole size beforehand where the documents' sizes are known.

Sources: W3C XOP 1.0 5, SOAP MTOM 1.0, RFC 2387; facts: ihe-wire 1, 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from lxml import etree

from node.errors import WireError
from node.wire.content_type import MULTIPART_RELATED, SOAP_XML, XOP_XML, build_content_type
from node.wire.names import XOP
from node.wire.xml import E

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}", re.ASCII)
_CONTENT_ID = re.compile(r"[0-9A-Za-z.!#$&'*+/=?^_{}|~:-]+(?:@[0-9A-Za-z.:_-]+)?", re.ASCII)
_MIME_TYPE = re.compile(r"[ -~]{1,255}", re.ASCII)


def include(content_id: str) -> etree._Element:
    """The ``xop:Include`` for an element whose content is the part with this id.

    Raises:
        WireError: ``mtom-malformed`` when the id is not one we may write.
    """
    return E(XOP, "Include", {"href": f"cid:{quote(_checked(content_id), safe='@')}"})


def _checked(content_id: str) -> str:
    if _CONTENT_ID.fullmatch(content_id) is None:
        raise WireError("mtom-malformed", "A content id has characters it must not have.")
    return content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MtomWriter:
    """The framing of one MTOM message.

    Attributes:
        boundary: 1 to 70 characters of RFC 2046, random: no content may hold it.
        root_cid: content id of the SOAP part, without angle brackets.
        action: the SOAP action, for the optional ``action`` parameter.

    Raises:
        WireError: ``mtom-malformed`` for a boundary or content id that cannot be written.
    """

    boundary: str
    root_cid: str
    action: str | None = None

    def __post_init__(self) -> None:
        if _BOUNDARY.fullmatch(self.boundary) is None:
            raise WireError("mtom-malformed", "A boundary has characters it must not have.")
        _checked(self.root_cid)

    @property
    def content_type(self) -> str:
        """The HTTP Content-Type of the message."""
        return build_content_type(
            MULTIPART_RELATED,
            {
                "type": XOP_XML,
                "start": f"<{self.root_cid}>",
                "start-info": SOAP_XML,
                "boundary": self.boundary,
                "action": self.action,
            },
        )

    def head(self, root: bytes) -> bytes:
        """Everything up to the end of the SOAP part."""
        content_type = build_content_type(XOP_XML, {"charset": "UTF-8", "type": SOAP_XML})
        return self._headers(self.root_cid, content_type) + root + b"\r\n"

    def part_head(self, content_id: str, mime_type: str) -> bytes:
        """What stands before an attachment's bytes.

        Raises:
            WireError: ``mtom-malformed`` when the id or the type cannot be written in a header.
        """
        return self._headers(_checked(content_id), mime_type)

    def part_end(self) -> bytes:
        """What stands after an attachment's bytes."""
        return b"\r\n"

    def tail(self) -> bytes:
        """The end of the message."""
        return f"--{self.boundary}--\r\n".encode("ascii")

    def content_length(self, root_size: int, parts: Iterable[tuple[str, str, int]]) -> int:
        """Bytes of the whole message.

        Args:
            root_size: bytes of the SOAP part.
            parts: content id, MIME type and size in bytes of each attachment.
        """
        attachments = sum(
            len(self.part_head(content_id, mime_type)) + size + len(self.part_end())
            for content_id, mime_type, size in parts
        )
        return len(self.head(b"")) + root_size + attachments + len(self.tail())

    def _headers(self, content_id: str, content_type: str) -> bytes:
        if _MIME_TYPE.fullmatch(content_type) is None:
            raise WireError("mtom-malformed", "A MIME type has characters it must not have.")
        return (
            f"--{self.boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Transfer-Encoding: binary\r\nContent-ID: <{content_id}>\r\n\r\n"
        ).encode("ascii")
