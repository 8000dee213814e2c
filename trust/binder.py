"""Bindings remembered: the same keys of the same organisation are judged once, not per request.

Walking chains costs several hundred microseconds, a remembered verdict a few. A verdict is reused
only for the same certificates and the same knowledge of the organisation, never past
``valid_until`` nor longer than ``MAX_AGE``, and refusals are never remembered. Anchors and settings
are fixed: when they change, make a new binder. Denied keys are asked on every request, before
anything remembered; revocation by CRL or OCSP is not part of a binding and must be asked as well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from trust.binding import (
    BindingVerdict,
    KeyRole,
    OrganizationTrust,
    Presented,
    PresentedKeys,
    bind,
)
from trust.chain import Strength
from trust.keys import spki_sha256
from trust.network_list.deny import Denied
from trust.usages import Usage

MAX_AGE = timedelta(minutes=5)
MAX_REMEMBERED = 10_000

_Key = tuple[object, ...]


class Binder:
    """Binds keys to organisations with fixed anchors and settings, and remembers good verdicts.

    Holds at most ``MAX_REMEMBERED`` verdicts; the least recently used goes first.
    """

    def __init__(
        self,
        anchors: Mapping[Usage, Sequence[x509.Certificate]],
        *,
        allow_unpinned: bool,
        floor: Strength = Strength.WARN,
        denied: Denied | None = None,
    ) -> None:
        """``denied`` knows the keys that the network's authority denied (``network_list.deny``)."""
        self._denied = denied
        self._anchors = {usage: tuple(given) for usage, given in anchors.items()}
        self._allow_unpinned = allow_unpinned
        self._floor = floor
        self._verdicts: OrderedDict[_Key, tuple[datetime, BindingVerdict]] = OrderedDict()

    def bind(
        self, presented: PresentedKeys, trust: OrganizationTrust, *, now: datetime
    ) -> BindingVerdict:
        """As ``trust.binding.bind``; the moment of judging may lie up to ``MAX_AGE`` back.

        A denied key or certificate, also one of an intermediate, is refused as ``key-denied``.
        """
        if self._denied is not None and (refused := _denial(presented, self._denied)):
            return refused
        key: _Key = (
            presented.tls_leaf,
            _named(presented.saml_signer),
            _named(presented.holder_of_key),
            presented.intermediates,
            presented.tls_usage,
            trust,
        )
        remembered = self._verdicts.get(key)
        if remembered is not None:
            judged, verdict = remembered
            # A clock that was set back must not stretch a verdict's life.
            if (
                judged <= now < judged + MAX_AGE
                and verdict.valid_until is not None
                and now <= verdict.valid_until
            ):
                self._verdicts.move_to_end(key)
                return verdict
            del self._verdicts[key]
        verdict = bind(
            presented,
            trust,
            self._anchors,
            allow_unpinned=self._allow_unpinned,
            now=now,
            floor=self._floor,
        )
        if verdict.ok:
            self._verdicts[key] = (now, verdict)
            if len(self._verdicts) > MAX_REMEMBERED:
                self._verdicts.popitem(last=False)
        return verdict


def _denial(presented: PresentedKeys, denied: Denied) -> BindingVerdict | None:
    shown: tuple[tuple[KeyRole, Presented | None], ...] = (
        (KeyRole.TLS, presented.tls_leaf),
        (KeyRole.SAML_SIGNER, presented.saml_signer),
        (KeyRole.HOLDER_OF_KEY, presented.holder_of_key),
        *((KeyRole.TLS, certificate) for certificate in presented.intermediates),
    )
    for role, key in shown:
        if key is not None and (found := denied.denial(key)) is not None:
            return BindingVerdict(
                ok=False,
                reason_code="key-denied",
                sentence="The network's authority denied a key or certificate that was shown.",
                key=found.sha256,
                role=role,
            )
    return None


def _named(shown: Presented | None) -> object:
    # Certificates can be hashed; bare keys cannot, but their SPKI names them.
    return shown if shown is None or isinstance(shown, x509.Certificate) else spki_sha256(shown)
