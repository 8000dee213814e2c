"""The certification that a client must bring: TEFCA's Basic App Certification (tefca 8).

It is a token of its own, signed by the client itself or by somebody else of the same community. Of
other kinds nothing is demanded: they are ignored, and counted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from trust.errors import TrustError
from trust.udap.certification import Certification, read_certification
from trust.udap.jwt import proved, read_jwt
from trust.udap.signers import judge_signer

MAX_CERTIFICATIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What a certification must be about."""

    community: str
    client_uri: str
    purpose: str


def certified_community(
    server: AuthorizationServer,
    given: object,
    about: Certified,
    attempt: Attempt,
    *,
    now: datetime,
) -> str | None:
    """The home community id that the demanded certification names.

    ``None`` where none is demanded.

    Raises:
        Refused: ``certification-missing``, ``certification-refused``.
    """
    if not server.certifications:
        return None
    if not isinstance(given, list) or len(given) > MAX_CERTIFICATIONS:
        raise Refused(
            "certification-refused", f"certifications is no array of up to {MAX_CERTIFICATIONS}."
        )
    first: Refused | None = None
    for token in given:
        try:
            found = _read(server, token, about, now=now)
        except (Refused, TrustError) as error:
            sentence = f"A certification is refused: {error.sentence}"
            first = first or Refused("certification-refused", sentence)
            continue
        if not set(found.uris) & set(server.certifications):
            attempt.deviations.append("certification-ignored")
            continue
        attempt.asked["certification"] = {
            "name": found.name,
            "sha256": hashlib.sha256(str(token).encode()).hexdigest(),
        }
        return _community(found, about.purpose)
    raise first or Refused(
        "certification-missing", "The client brings none of the certifications that are required."
    )


def _community(found: Certification, purpose: str) -> str:
    if found.purposes != (purpose,):
        raise Refused(
            "certification-refused",
            "The certification's exchange_purposes is not exactly the purpose of the URI.",
        )
    if found.home_community_id is None:
        raise Refused("certification-refused", "The certification names no home_community_id.")
    return found.home_community_id


def _read(
    server: AuthorizationServer, token: object, about: Certified, *, now: datetime
) -> Certification:
    if not isinstance(token, str):
        raise Refused("certification-refused", "It is no text.")
    sealed = read_jwt(token.encode("utf-8", "replace"))
    verdict = judge_signer(sealed.leaf, sealed.intermediates, server.rules.knowledge(), now=now)
    if not verdict.ok or verdict.community != about.community:
        raise Refused("certification-refused", "Its signer is not of the client's community.")
    return read_certification(
        proved(sealed),
        issuers=verdict.uris,
        client_uri=about.client_uri,
        audience=server.addresses.registration,
        now=now,
    )
