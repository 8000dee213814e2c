"""The extension objects of a token request: who asks and why (fhir-and-udap 1.6; tefca 8).

What is demanded depends on the purpose. ``hl7-b2b`` always; for individual access ``tefca_ias`` as
well, whose ``id_token`` this version cannot verify yet: nothing is granted for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import AuthorizationServer
from trust.udap.b2b import KEY, B2b, read_b2b
from trust.udap.claims import malformed, missing
from trust.udap.ias import KEY as IAS_KEY
from trust.udap.ias import MISSPELT, read_ias
from trust.udap.id_token import digest_of_id_token
from trust.udap.strict_json import JsonObject

MAX_EXTENSIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """What a token was asked with; ``context`` is the SHA-256 of all extension objects.

    ``patient`` is the individual who asks for their own records.
    """

    b2b: B2b
    context: bytes
    patient: str | None = None


def read_extensions(
    claims: JsonObject,
    server: AuthorizationServer,
    purpose: str,
    attempt: Attempt,
    *,
    community: str = "",
) -> Asserted:
    """Check the extension objects of proved claims against the client's purpose.

    Raises:
        Refused: ``b2b-other-purpose``, ``consent-required``, ``ias-*``.
        TrustError: ``b2b-*``, ``ias-*``, ``jwt-claim-*``.
    """
    given = claims.get("extensions")
    if given is None:
        raise missing("extensions")
    if not isinstance(given, dict) or len(given) > MAX_EXTENSIONS:
        raise malformed("extensions")
    register = server.rules.register
    b2b = read_b2b(given.get(KEY), system=register.system, codes=register.purposes)
    attempt.who |= _who(b2b)
    attempt.asked["organization_id"] = b2b.organization_id
    attempt.deviations += ["b2b-unknown-field"] if b2b.unknown else []
    if b2b.purpose != purpose:
        raise Refused(
            "b2b-other-purpose", "purpose_of_use is not the purpose that the client registered for."
        )
    _check_consent(server, b2b)
    patient = None
    if register.purposes[purpose].individual:
        patient = _individual_access(given, server, purpose, attempt, community)
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    context = hashlib.sha256(text.encode("ascii")).digest()
    return Asserted(b2b=b2b, context=context, patient=patient)


def _check_consent(server: AuthorizationServer, b2b: B2b) -> None:
    rule = server.consent.get(b2b.purpose)
    if rule is None or set(rule.policies) & set(b2b.consent_policies):
        return
    wanted: dict[str, object] = {"consent_required": list(rule.policies)}
    if rule.form:
        wanted["consent_form"] = rule.form
    raise Refused(
        "consent-required",
        "A consent policy is required for this purpose, and none of those accepted is named.",
        extensions={KEY: wanted},
    )


def _individual_access(
    given: JsonObject,
    server: AuthorizationServer,
    purpose: str,
    attempt: Attempt,
    community: str,
) -> str:
    """The id of the Patient who the individual is, and nobody else's records are opened."""
    value = given.get(IAS_KEY)
    if value is None and MISSPELT in given:
        # an SDK of others once wrote a hyphen (tefca 8): understood, and counted
        value = given[MISSPELT]
        attempt.deviations.append("ias-key-hyphen")
    ias = read_ias(value, purpose=purpose)
    attempt.who["id_token"] = digest_of_id_token(ias.id_token)
    if server.individuals is None:
        raise Refused("ias-unverified", "This server trusts no credential service provider.")
    return server.individuals.patient(ias, audience=community)


def _who(b2b: B2b) -> dict[str, object]:
    """Under the names that a principal has in the log; a system user goes by its name."""
    found = {
        "subject_id": b2b.subject_name,
        "user_id": b2b.subject_id or b2b.subject_name,
        "subject_role": b2b.subject_role,
        "organization": b2b.organization_name,
        "organization_id": b2b.organization_id,
        "consent_policy": list(b2b.consent_policies),
        "consent_reference": list(b2b.consent_references),
    }
    return {name: value for name, value in found.items() if value}
