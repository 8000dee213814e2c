"""Bindings remembered: the same keys of the same organisation are judged once, not per request.

Walking chains costs several hundred microseconds, a remembered verdict a few. A verdict is reused
only for the same certificates and the same knowledge of the organisation, of denied keys and of
revocation, never past ``valid_until`` nor longer than ``MAX_AGE``, and refusals are never
remembered. Denials, CRLs and OCSP answers each have a generation: one that is new ends every
remembered verdict, so a revoked peer gets no further answer on the connections that it has open.
When the anchors change (``use``), everything remembered is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from trust.anchors import Anchor, AnchorSet, authorised
from trust.binding import (
    BindingVerdict,
    OrganizationTrust,
    Presented,
    PresentedKeys,
    bind,
)
from trust.binding_decision import decision_of
from trust.bound_chain import KeyRole, Revocations
from trust.certificates import fingerprint
from trust.chain import Strength
from trust.keys import spki_sha256
from trust.network_list.deny import Denied
from trust.trusted_time import clock_behind

MAX_AGE = timedelta(minutes=5)
MAX_REMEMBERED = 10_000

_Key = tuple[object, ...]
_Generation = tuple[datetime | None, int, int]


class Binder:
    """Binds keys to organisations by the anchors of the moment, and remembers good verdicts.

    Holds at most ``MAX_REMEMBERED`` verdicts; the least recently used goes first.
    """

    def __init__(
        self,
        anchors: Iterable[Anchor],
        *,
        allow_unpinned: bool,
        floor: Strength = Strength.WARN,
        denied: Denied | None = None,
        revocations: Revocations | None = None,
        trusted: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        """What is known changes while the binder lives.

        Args:
            anchors: the anchors of the moment.
            allow_unpinned: whether organisations without pins may be bound by anchor and name.
            floor: what to do with keys below 128-bit strength.
            denied: the keys that the network's authority denied (``network_list.deny``).
            revocations: what CRLs and OCSP answers say; ``None`` asks nobody.
            trusted: the highest time that was vouched for; while the clock is behind it, nobody is
                bound.
        """
        self._trusted = trusted
        self._denied = denied
        self._revocations = revocations
        self._anchors = _Anchors.of(anchors)
        self._allow_unpinned = allow_unpinned
        self._floor = floor
        self._verdicts: OrderedDict[_Key, _Remembered] = OrderedDict()

    def use(self, anchors: Iterable[Anchor]) -> None:
        """Judge by other anchors from now on; what was judged by the old ones is forgotten.

        Must be called where ``bind`` is called, in the event loop's thread.
        """
        self._anchors = _Anchors.of(anchors)
        self._verdicts.clear()

    def bind(
        self,
        presented: PresentedKeys,
        trust: OrganizationTrust,
        *,
        now: datetime,
        exceptions: tuple[str, ...] = (),
    ) -> BindingVerdict:
        """As ``trust.binding.bind``; the moment of judging may lie up to ``MAX_AGE`` back.

        A denied key or certificate, also one of an intermediate, is refused as ``key-denied``.
        The verdict, good or bad, has its ``decision`` for the log.

        Args:
            presented: the keys of the exchange.
            trust: what the directory and our pins say of the organisation.
            now: the moment to judge at.
            exceptions: from our rules, that the peer's message made use of; for the decision.
        """
        generation = self._generation()
        key: _Key = (
            presented.tls_leaf,
            _named(presented.saml_signer),
            _named(presented.holder_of_key),
            presented.intermediates,
            presented.tls_usage,
            trust,
            exceptions,
        )
        remembered = self._verdicts.get(key)
        if remembered is not None:
            if remembered.holds(generation, now):
                self._verdicts.move_to_end(key)
                return remembered.verdict
            del self._verdicts[key]
        verdict = self._judge(presented, trust, now)
        network_list = self._denied.list_in_use() if self._denied is not None else None
        decision = decision_of(
            verdict, judged=now, network_list=network_list, exceptions=exceptions
        )
        verdict = replace(verdict, decision=decision)
        if verdict.ok:
            self._verdicts[key] = _Remembered(judged=now, generation=generation, verdict=verdict)
            if len(self._verdicts) > MAX_REMEMBERED:
                self._verdicts.popitem(last=False)
        return verdict

    def _generation(self) -> _Generation:
        return (
            self._trusted(),
            self._denied.generation() if self._denied is not None else 0,
            self._revocations.generation() if self._revocations is not None else 0,
        )

    def _judge(
        self, presented: PresentedKeys, trust: OrganizationTrust, now: datetime
    ) -> BindingVerdict:
        if (finding := clock_behind(now, self._trusted())) is not None:
            return BindingVerdict(
                ok=False,
                reason_code=finding.code,
                sentence=finding.sentence,
                key=fingerprint(presented.tls_leaf),
                role=KeyRole.TLS,
            )
        if self._denied is not None and (refused := _denial(presented, self._denied)):
            return refused
        verdict = bind(
            presented,
            trust,
            self._anchors.every if trust.listed else self._anchors.local,
            allow_unpinned=self._allow_unpinned,
            now=now,
            floor=self._floor,
            strict=self._anchors.strict,
            revocations=self._revocations,
        )
        if self._denied is not None and verdict.ok:
            # Also what was not shown: the anchor, and intermediates that we had ourselves.
            for chain in verdict.chains:
                for certificate in chain.certificates:
                    if refused := _denied_key(chain.role, certificate, self._denied):
                        return refused
        return verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Anchors:
    """``local`` are those that a person added here; ``strict`` refuse keys below 128 bits."""

    every: AnchorSet
    local: AnchorSet
    strict: frozenset[x509.Certificate]

    @classmethod
    def of(cls, anchors: Iterable[Anchor]) -> _Anchors:
        given = tuple(anchors)
        return cls(
            every=authorised(given),
            local=authorised(anchor for anchor in given if anchor.local),
            strict=frozenset(a.certificate for a in given if a.strength is Strength.DENY),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    judged: datetime
    generation: _Generation
    verdict: BindingVerdict

    def holds(self, generation: _Generation, now: datetime) -> bool:
        # A clock that was set back must not stretch a verdict's life.
        return (
            self.generation == generation
            and self.judged <= now < self.judged + MAX_AGE
            and self.verdict.valid_until is not None
            and now <= self.verdict.valid_until
        )


def _denial(presented: PresentedKeys, denied: Denied) -> BindingVerdict | None:
    shown: tuple[tuple[KeyRole, Presented | None], ...] = (
        (KeyRole.TLS, presented.tls_leaf),
        (KeyRole.SAML_SIGNER, presented.saml_signer),
        (KeyRole.HOLDER_OF_KEY, presented.holder_of_key),
        *((KeyRole.TLS, certificate) for certificate in presented.intermediates),
    )
    for role, key in shown:
        if key is not None and (refused := _denied_key(role, key, denied)):
            return refused
    return None


def _denied_key(role: KeyRole, key: Presented, denied: Denied) -> BindingVerdict | None:
    found = denied.denial(key)
    if found is None:
        return None
    return BindingVerdict(
        ok=False,
        reason_code="key-denied",
        sentence="The network's authority denied a key or certificate that was shown.",
        key=found.sha256,
        role=role,
    )


def _named(shown: Presented | None) -> object:
    # Certificates can be hashed; bare keys cannot, but their SPKI names them.
    return shown if shown is None or isinstance(shown, x509.Certificate) else spki_sha256(shown)
