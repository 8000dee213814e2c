"""The least that an ITI responder can do: read the request, parse it, check its two signatures.

The same server, TLS, parser and signature verifier as the node's, and a fixed answer. No claim is
read, nobody is looked up, nothing is searched or written down.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from trust.xml import parse
from trust.xml_names import DS, SAML, SOAP12, WSSE, WSU, WSU_ID
from trust.xmldsig import verify

_SECURITY = f"{{{SOAP12}}}Header/{{{WSSE}}}Security"
_ASSERTION = f"{{{SAML}}}Assertion"
_TIMESTAMP = f"{{{WSU}}}Timestamp"
_SIGNATURE = f"{{{DS}}}Signature"
_CLOSING = b"\r\n--"
_LENGTH = 4096
ANSWER = b"checked".ljust(_LENGTH)


async def floor_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    check(body)
    headers = [
        (b"content-type", b"application/soap+xml; charset=UTF-8"),
        (b"content-length", b"%d" % len(ANSWER)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def check(body: bytes) -> None:
    """Parse a request and check its two signatures. Raises ``TrustError``."""
    if body.startswith(b"--"):  # the root part of an MTOM request
        body = body[body.index(b"\r\n\r\n") + 4 : body.rindex(_CLOSING)]
    security = parse(body).find(_SECURITY)
    assertion, timestamp = security.find(_ASSERTION), security.find(_TIMESTAMP)
    signed = verify(assertion, assertion.find(_SIGNATURE))
    verify(timestamp, security.find(_SIGNATURE), id_attribute=WSU_ID, keys=(signed.key,))
