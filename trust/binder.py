"""Bindings remembered: the same keys of the same organisation are judged once, not per request.

Walking chains costs several hundred microseconds, a remembered verdict a few. A verdict is reused
only for the same certificates and the same knowledge of the organisation, never past
``valid_until`` nor longer than ``MAX_AGE``, and refusals are never remembered. Anchors and settings
are fixed: when they change, make a new binder. Revocation is not part of a binding and must be
asked on every request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from cryptography import x509

from trust.binding import BindingVerdict, OrganizationTrust, Presented, PresentedKeys, bind
from trust.chain import Strength
from trust.keys import spki_sha256
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
    ) -> None:
        self._anchors = {usage: tuple(given) for usage, given in anchors.items()}
        self._allow_unpinned = allow_unpinned
        self._floor = floor
        self._verdicts: OrderedDict[_Key, tuple[datetime, BindingVerdict]] = OrderedDict()

    def bind(
        self, presented: PresentedKeys, trust: OrganizationTrust, *, now: datetime
    ) -> BindingVerdict:
        """As ``trust.binding.bind``; the moment of judging may lie up to ``MAX_AGE`` back."""
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


def _named(shown: Presented | None) -> object:
    # Certificates can be hashed; bare keys cannot, but their SPKI names them.
    return shown if shown is None or isinstance(shown, x509.Certificate) else spki_sha256(shown)
