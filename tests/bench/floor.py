"""The least that an ITI responder can do: read the request, parse it, check its two signatures.

The same server (protocol, Starlette, TLS), parser and signature verifier as the node's, and a fixed
answer. No claim is read, nobody is looked up, nothing is searched or written down.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.model import Transaction
from node.own_entry import address
from node.settings import Settings
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


def floor_app(settings: Settings) -> Starlette:
    """The application, at the same paths as the node's."""
    url = settings.listen.public_url
    return Starlette(
        routes=[
            Route(address(settings, transaction).removeprefix(url), _answer, methods=["POST"])
            for transaction in Transaction
        ]
    )


async def _answer(request: Request) -> Response:
    check(await request.body())
    return Response(ANSWER, media_type="application/soap+xml")


def check(body: bytes) -> None:
    """Parse a request and check its two signatures. Raises ``TrustError``."""
    if body.startswith(b"--"):  # the root part of an MTOM request
        body = body[body.index(b"\r\n\r\n") + 4 : body.rindex(_CLOSING)]
    security = parse(body).find(_SECURITY)
    assertion, timestamp = security.find(_ASSERTION), security.find(_TIMESTAMP)
    signed = verify(assertion, assertion.find(_SIGNATURE))
    verify(timestamp, security.find(_SIGNATURE), id_attribute=WSU_ID, keys=(signed.key,))
