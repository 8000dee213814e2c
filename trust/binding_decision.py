"""The decision about one binding, as a value that the log keeps for ever.

Why we talked to a peer, or refused to: how its keys were bound, the chain above each, what was
known of the revocation of each certificate and by which CRL or OCSP answer, the network list in
use, every weakness that was let pass. Its bytes are canonical JSON as those of the log's leaves:
keys in byte order, no white space, printable ASCII, no floats, no null, times in RFC 3339 UTC with
milliseconds. Numbers of CRLs may have twenty octets and are text. It is named by the SHA-256 of its
bytes, so that a binding that is remembered costs each further request one text. No PHI is in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from trust.binding import BindingVerdict
from trust.bound_chain import BoundChain
from trust.decision import TrustDecision, digest_of
from trust.revocation_policy import CertificateStatus, Source

VERSION = 1


def decision_of(
    verdict: BindingVerdict,
    *,
    judged: datetime,
    network_list: str | None = None,
    exceptions: Sequence[str] = (),
) -> TrustDecision:
    """The decision that a verdict is.

    Args:
        verdict: the verdict on a binding, good or bad.
        judged: the moment it was judged at.
        network_list: the digest of the signed network list in use, if there is one.
        exceptions: names of exceptions from our rules that the peer's profile allows and that its
            message made use of.
    """
    value: dict[str, Any] = {
        "v": VERSION,
        "verdict": "bound" if verdict.ok else "refused",
        "method": verdict.method,
        "reason": verdict.reason_code,
        "role": verdict.role,
        "key": verdict.key,
        "host": verdict.host_name,
        "list": network_list,
        "judged": _time(judged),
        "until": _time(verdict.valid_until),
        "exceptions": sorted(set(exceptions)),
        "warnings": sorted({warning.code for warning in verdict.warnings}),
        "chains": [_chain(chain, judged) for chain in verdict.chains],
    }
    body = json.dumps(_stated(value), sort_keys=True, separators=(",", ":")).encode("ascii")
    return TrustDecision(digest=digest_of(body), body=body, warnings=tuple(value["warnings"]))


def _chain(chain: BoundChain, judged: datetime) -> dict[str, Any]:
    revocation = chain.revocation
    found: dict[str, Any] = {
        "role": chain.role,
        "anchor": chain.anchor,
        "path": list(chain.path),
        "no_anchor": chain.reason_code,
    }
    if revocation is not None:
        found |= {
            "policy": revocation.policy,
            "unknown": revocation.unknown,
            "revocation": revocation.reason_code or "ok",
            "certificates": [_status(status, judged) for status in revocation.certificates],
        }
    return _stated(found)


def _status(status: CertificateStatus, judged: datetime) -> dict[str, Any]:
    made = _time(judged - status.age) if status.age is not None else None
    return _stated(
        {
            "key": status.key,
            "serial": status.serial,
            "state": status.state,
            "source": status.source,
            "reason": status.reason_code,
            "freshness": status.freshness,
            "crl_number": None if status.crl_number is None else str(status.crl_number),
            "crl_digest": status.crl_digest,
            "crl_made": made if status.source is Source.CRL else None,
            "ocsp_made": made if status.source is Source.OCSP else None,
        }
    )


def _stated(value: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known: there is no null."""
    return {name: each for name, each in value.items() if each is not None}


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"
