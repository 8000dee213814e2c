"""Binary: as a resource, or what it holds as it is (FHIR R4 2.42.3, IHE ITI-68).

What is served as it is comes from elsewhere and may be anything: browsers are told not to guess its
type and to run nothing of it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace

import orjson

from node.exchange.fhir_ports import FhirRecords, HeldResource
from node.exchange.fhir_reply import FhirReply, found, version_headers
from node.wire.fhir.authored import with_data
from node.wire.fhir.problem import FhirProblem

# it becomes a header: nothing that could end one
_MEDIA_TYPE = re.compile(r"[a-zA-Z0-9.+-]{1,60}/[a-zA-Z0-9.+-]{1,60}(?:; ?[!-~ ]{1,80})?", re.ASCII)
HARMLESS = {
    "content-disposition": "attachment",
    "content-security-policy": "sandbox; default-src 'none'",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryForm:
    """How a Binary is wanted: as a resource, or as one of some media types."""

    is_resource: bool = False
    accepted: frozenset[str] = frozenset()

    def takes(self, media_type: str) -> bool:
        """Whether a media type is among those accepted."""
        kind = media_type.partition("/")[0]
        return not self.accepted.isdisjoint({"*/*", f"{kind}/*", media_type.lower()})


async def binary_reply(held: HeldResource, wanted: BinaryForm, records: FhirRecords) -> FhirReply:
    """The answer with a Binary.

    Raises:
        FhirProblem: ``fhir-format-unsupported`` when it is of no type that the client accepts.
    """
    headers = version_headers(held)
    reply = FhirReply(ending=found([held]), held=[held], headers=headers)
    if wanted.is_resource:
        if held.document is None:
            return replace(reply, body=held.data)
        content = b"".join([chunk async for chunk in records.document(held)])
        return replace(reply, body=with_data(held.data, content))
    content_type = safe_media_type(str(orjson.loads(held.data).get("contentType")))
    media_type = content_type.partition(";")[0].strip()
    if not wanted.takes(media_type):
        raise FhirProblem("fhir-format-unsupported", "The document is of none of these types.")
    reply = replace(reply, media_type=content_type, headers={**headers, **HARMLESS})
    if held.document is None:
        return replace(reply, body=_data(held))
    return replace(
        reply,
        chunks=records.document(held),
        digest=bytes.fromhex(held.document),
        headers={**reply.headers, "content-length": str(held.size)},
    )


def safe_media_type(text: str) -> str:
    """A media type as a header may hold it; what is none is plain bytes."""
    return text if _MEDIA_TYPE.fullmatch(text) else "application/octet-stream"


def _data(held: HeldResource) -> bytes:
    data = orjson.loads(held.data).get("data")
    try:
        return base64.b64decode(data if isinstance(data, str) else "", validate=True)
    except binascii.Error:
        raise FhirProblem("fhir-unavailable", "The Binary's data is not base64.") from None
