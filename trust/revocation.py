"""Whether a certificate of a validated path is revoked, as far as we know (facts pki A6).

A pure function of the path, the CRLs and OCSP answers at hand, the policy of the path's anchor, and
``now``. Nothing is fetched here: that happens out of band. A deny list (from the signed network
list) wins over everything. What was revoked stays revoked, however old the CRL that says so; what
nobody says is decided by the policy: hard refuses, soft allows with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from trust.certificates import fingerprint, is_ca
from trust.crl import (
    ALL_REASONS,
    ON_HOLD,
    REMOVED,
    SKEW,
    AcceptedCrl,
    Crl,
    Freshness,
    newest,
)
from trust.crl_scope import by_scope, fits, in_scope, lists
from trust.distinguished_names import ComparableName, comparable
from trust.key_floor import Finding
from trust.keys import spki_sha256
from trust.ocsp import OcspAnswer, OcspStatus
from trust.revocation_policy import (
    CertificateStatus,
    RevocationDecision,
    RevocationPolicy,
    RevocationRule,
    Source,
    State,
    Unknown,
)

_MAX_SIGNER_DEPTH = 2  # a CRL signer's own revocation may need another CRL signer, not a third


class CrlView(Protocol):
    """The accepted CRLs at hand."""

    def crls(self, issuer: ComparableName) -> Sequence[AcceptedCrl]:
        """Those of one issuer name, in any order, of any age."""


def judge_revocation(
    path: Sequence[x509.Certificate],
    view: CrlView,
    *,
    rule: RevocationRule,
    now: datetime,
    answers: Mapping[str, OcspAnswer] | None = None,
    denied: Collection[str] = frozenset(),
) -> RevocationDecision:
    """Judges a validated path, leaf first and anchor last.

    Args:
        path: the certificates, as ``trust.chain`` accepted them.
        view: the accepted CRLs.
        rule: the policy of the path's anchor.
        now: the moment to judge at.
        answers: OCSP answers by fingerprint of the certificate they are about, each evaluated
            against its issuer in this path.
        denied: SPKI SHA-256 of keys that the network list revokes: of leafs, CAs, anchors and CRL
            signers alike.
    """
    if any(spki_sha256(certificate) in denied for certificate in path):
        return RevocationDecision(
            ok=False,
            reason_code="certificate-revoked",
            sentence="The network list revokes a key of the chain.",
            policy=rule.policy,
            unknown=rule.unknown,
            certificates=tuple(
                _status(c, State.REVOKED, Source.DIRECTORY, code="certificate-revoked")
                for c in path
                if spki_sha256(c) in denied
            ),
        )
    judge = _Judge(view=view, rule=rule, now=now, answers=answers or {}, denied=denied)
    statuses = tuple(
        judge.status(certificate, path[index + 1 :]) for index, certificate in enumerate(path[:-1])
    )
    return _decide(statuses, rule)


def _decide(statuses: tuple[CertificateStatus, ...], rule: RevocationRule) -> RevocationDecision:
    worst = next((s for s in statuses if s.state is State.REVOKED), None)
    doubtful = [s for s in statuses if s.reason_code is not None]
    if worst is None and doubtful and rule.unknown is Unknown.HARD:
        worst = doubtful[0]
    code = worst.reason_code if worst is not None else None
    ends = [s.until for s in statuses if s.until is not None]
    return RevocationDecision(
        ok=worst is None,
        reason_code=code,
        sentence=_SENTENCES[code],
        policy=rule.policy,
        unknown=rule.unknown,
        certificates=statuses,
        warnings=()
        if worst is not None
        else tuple(
            Finding(code=s.reason_code, sentence=_SENTENCES[s.reason_code])
            for s in doubtful
            if s.reason_code is not None
        ),
        valid_until=min(ends) if ends and worst is None else None,
    )


_SENTENCES: dict[str | None, str] = {
    None: "No certificate of the chain is revoked.",
    "certificate-revoked": "A certificate of the chain is revoked.",
    "crl-missing": "There is no usable CRL for a certificate of the chain.",
    "crl-stale": "The CRL for a certificate of the chain should have been renewed by now.",
    "crl-expired": "The CRL for a certificate of the chain has expired.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    view: CrlView
    rule: RevocationRule
    now: datetime
    answers: Mapping[str, OcspAnswer]
    denied: Collection[str]

    def status(
        self, certificate: x509.Certificate, above: Sequence[x509.Certificate], depth: int = 0
    ) -> CertificateStatus:
        """The status of a certificate; ``above`` is its issuer first, the anchor last."""
        by_crl = self._by_crl(certificate, above, depth)
        by_ocsp = self._by_ocsp(certificate, above[0])
        # Either may know of a revocation first; a good word of one does not undo the other's.
        for found in (by_crl, by_ocsp):
            if found is not None and found.state is State.REVOKED:
                return found
        if by_crl.reason_code is None:
            return by_crl
        return by_ocsp or self._exempt(certificate) or by_crl

    def _exempt(self, certificate: x509.Certificate) -> CertificateStatus | None:
        policy = self.rule.policy
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        short = not is_ca(certificate) and lifetime <= self.rule.short_lived
        if policy is RevocationPolicy.DIRECTORY_ONLY or (
            policy is RevocationPolicy.SHORT_LIVED_EXEMPT and short
        ):
            return _status(certificate, State.EXEMPT, Source.POLICY)
        return None

    def _by_ocsp(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> CertificateStatus | None:
        answer = self.answers.get(fingerprint(certificate))
        if answer is None or answer.this_update is None:
            return None
        if answer.responder is not None and self._listed(answer.responder, issuer):
            return None
        age = self.now - answer.this_update
        if answer.status is OcspStatus.REVOKED:
            # However old: what was revoked stays revoked, and no policy wants to talk to it.
            return _status(
                certificate, State.REVOKED, Source.OCSP, code="certificate-revoked", age=age
            )
        wanted = self.rule.policy is not RevocationPolicy.REQUIRE_CRL
        if wanted and answer.status is OcspStatus.GOOD and answer.is_current(self.now):
            return _status(certificate, State.GOOD, Source.OCSP, age=age, until=answer.next_update)
        return None

    def _listed(self, responder: x509.Certificate, issuer: x509.Certificate) -> bool:
        return any(
            accepted.crl.revoked.get(responder.serial_number, REMOVED) != REMOVED
            for accepted in self.view.crls(comparable(issuer.subject))
        )

    def _by_crl(
        self, certificate: x509.Certificate, above: Sequence[x509.Certificate], depth: int
    ) -> CertificateStatus:
        speaking = [
            accepted
            for accepted in self.view.crls(comparable(certificate.issuer))
            if in_scope(accepted.crl.scope, certificate) and self._speaks(accepted, above, depth)
        ]
        serial = certificate.serial_number
        revoked = State.REVOKED
        for accepted in speaking:
            # For good is for good: no later CRL may take it back (RFC 5280 3.3).
            listed = accepted.crl.revoked.get(serial, REMOVED) not in {ON_HOLD, REMOVED}
            if serial in accepted.dropped or (listed and not accepted.crl.is_delta):
                return self._from_crl(
                    certificate, accepted.crl, None, revoked, code="certificate-revoked"
                )
        groups = by_scope(accepted.crl for accepted in speaking)
        views = [view for view in map(self._combined, groups) if view is not None]
        for base, delta in views:
            if lists(serial, base, delta, delta_is_fresh=self._fresh(delta)):
                return self._from_crl(certificate, base, delta, revoked, code="certificate-revoked")
        return self._coverage(certificate, views)

    def _coverage(
        self, certificate: x509.Certificate, views: list[tuple[Crl, Crl | None]]
    ) -> CertificateStatus:
        """Good as soon as CRLs of a freshness cover all reasons; the freshest that do decide."""
        covered: frozenset[x509.ReasonFlags] = frozenset()
        for level, code in _LEVELS:
            for base, delta in views:
                if base.freshness(self.now, self.rule.grace) is not level:
                    continue
                covered |= base.scope.reasons
                if covered >= ALL_REASONS:
                    state = State.UNKNOWN if level is Freshness.EXPIRED else State.GOOD
                    return self._from_crl(certificate, base, delta, state, code=code)
        return _status(
            certificate, State.UNKNOWN, Source.NOBODY, code="crl-missing", until=self.now
        )

    def _fresh(self, crl: Crl | None) -> bool:
        return crl is not None and crl.freshness(self.now, self.rule.grace) is Freshness.FRESH

    def _combined(self, crls: list[Crl]) -> tuple[Crl, Crl | None] | None:
        """The newest base of one scope, and the newest delta that fits it."""
        bases = [crl for crl in crls if not crl.is_delta]
        if not bases:
            return None  # a delta alone says nothing
        base = newest(bases)
        deltas = [crl for crl in crls if crl.is_delta and fits(crl, base)]
        return base, newest(deltas) if deltas else None

    def _speaks(self, accepted: AcceptedCrl, above: Sequence[x509.Certificate], depth: int) -> bool:
        """Whether a CRL's signer may speak for the issuer ``above[0]`` (RFC 5280 6.3.3 f)."""
        issuer, anchor = above[0], above[-1]
        signer = accepted.signer[0]
        if accepted.crl.this_update > self.now + SKEW or spki_sha256(signer) in self.denied:
            return False
        if spki_sha256(signer) == spki_sha256(issuer):
            return True
        if depth >= _MAX_SIGNER_DEPTH or accepted.signer[-1] != anchor:
            return False
        for index, certificate in enumerate(accepted.signer[:-1]):
            if certificate in above:
                break  # judged with the path itself
            status = self.status(certificate, accepted.signer[index + 1 :], depth + 1)
            if status.state is State.REVOKED or (
                status.reason_code is not None and self.rule.unknown is Unknown.HARD
            ):
                return False
        return True

    def _from_crl(
        self,
        certificate: x509.Certificate,
        base: Crl,
        delta: Crl | None,
        state: State,
        *,
        code: str | None,
    ) -> CertificateStatus:
        decisive = delta or base
        ends = [base.next_update] if delta is None else [base.next_update, delta.next_update]
        return _status(
            certificate,
            state,
            Source.CRL,
            code=code,
            crl=decisive,
            freshness=base.freshness(self.now, self.rule.grace),
            age=self.now - decisive.this_update,
            until=min(ends) if code is None else self.now,
        )


_LEVELS: tuple[tuple[Freshness, str | None], ...] = (
    (Freshness.FRESH, None),
    (Freshness.STALE, "crl-stale"),
    (Freshness.EXPIRED, "crl-expired"),
)


def _status(
    certificate: x509.Certificate,
    state: State,
    source: Source,
    *,
    code: str | None = None,
    crl: Crl | None = None,
    freshness: Freshness | None = None,
    age: timedelta | None = None,
    until: datetime | None = None,
) -> CertificateStatus:
    return CertificateStatus(
        key=spki_sha256(certificate),
        serial=f"{certificate.serial_number:x}",
        state=state,
        source=source,
        reason_code=code,
        freshness=freshness,
        crl_number=crl.number if crl is not None else None,
        crl_digest=crl.digest if crl is not None else None,
        age=age,
        until=until,
    )
