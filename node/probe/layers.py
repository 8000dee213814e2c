"""The layers on the way to a peer, and what was found at each.

A probe goes from the bottom up and stops where nothing above can be tried. Every finding that is
not ``ok`` has a code; ``data/findings.toml`` says whose side it is on, which layer it belongs to
and what the next step is. Codes that the errors' tables have already are taken from there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from node.model import HomeCommunityId, Outcome, Transaction
from trust.errors import error_table


class Layer(StrEnum):
    """What is looked at, from the bottom up."""

    DIRECTORY = "directory"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    CHAIN = "chain"
    BINDING = "binding"
    REVOCATION = "revocation"
    MTLS = "mtls"
    SOAP = "soap"
    SAML = "saml"
    ANSWER = "answer"


class State(StrEnum):
    """What is known of a layer."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_REACHED = "not reached"


class Side(StrEnum):
    """Who has to do something."""

    OURS = "ours"
    THEIRS = "theirs"
    NETWORK = "network"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerResult:
    """What was found at one layer; ``ms`` is how long it took.

    ``facts`` are values to show beside the sentence, without PHI. ``code``, ``side`` and
    ``next_step`` are set unless the state is ``ok`` or ``not reached``.
    """

    layer: Layer
    state: State
    sentence: str
    ms: int = 0
    code: str | None = None
    side: Side | None = None
    next_step: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """The certificate that the peer's server showed."""

    subject: str
    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """One peer, one transaction, every layer.

    Attributes:
        address: the endpoint, or ``None`` where the directory has none.
        purpose: the exchange purpose that was asserted, or would have been.
        outcome: how the message's leg ended, ``None`` when no message was sent.
        answer_ms: how long the answer took.
        deviations: what the peer's answer departed from the standards in.
        leg_id: the ledger entry of the message.
    """

    organization_id: str
    home_community_id: HomeCommunityId
    name: str
    transaction: Transaction
    address: str | None
    purpose: str | None
    started: datetime
    layers: tuple[LayerResult, ...]
    certificate: ServerCertificate | None = None
    outcome: Outcome | None = None
    answer_ms: int | None = None
    deviations: tuple[str, ...] = ()
    leg_id: str | None = None

    @property
    def failed(self) -> LayerResult | None:
        """The layer that fails: the lowest one."""
        return next((one for one in self.layers if one.state is State.FAIL), None)

    @property
    def good(self) -> bool:
        """Whether the peer can be exchanged with: nothing failed and the message was answered."""
        return self.failed is None and self.outcome is not None

    def at(self, layer: Layer) -> LayerResult | None:
        """What was found at a layer."""
        return next((one for one in self.layers if one.layer is layer), None)


def ok(layer: Layer, sentence: str, facts: Mapping[str, str] | None = None) -> LayerResult:
    """A layer that is in order."""
    return LayerResult(layer=layer, state=State.OK, sentence=sentence, facts=facts or {})


def not_reached(layer: Layer, sentence: str) -> LayerResult:
    """A layer that could not be looked at."""
    return LayerResult(layer=layer, state=State.NOT_REACHED, sentence=sentence)


def found(
    layer: Layer,
    code: str,
    sentence: str,
    *,
    state: State = State.FAIL,
    facts: Mapping[str, str] | None = None,
) -> LayerResult:
    """A layer with a finding; side and next step are those of the code."""
    side, next_step = _side_and_step(code)
    return LayerResult(
        layer=layer,
        state=state,
        sentence=sentence,
        code=code,
        side=side,
        next_step=next_step,
        facts=facts or {},
    )


def layer_of(code: str) -> Layer:
    """The layer that a message's failure belongs to; what no row says is about the answer."""
    return Layer(_findings().get(code, {}).get("layer", Layer.ANSWER))


def finding_codes() -> dict[str, tuple[Side, str]]:
    """Side and next step of every code that a probe has a row for."""
    return {code: _side_and_step(code) for code in _findings()}


def _side_and_step(code: str) -> tuple[Side, str]:
    own: Mapping[str, object] = _findings().get(code, {})
    row: Mapping[str, object] = next(
        (table[code] for table in map(error_table, ("node", "trust")) if code in table), {}
    )
    side = own.get("side") or row.get("party") or Side.UNKNOWN
    step = own.get("next") or row.get("advice") or "Look at the peer's answer in `log show`."
    return Side(str(side)), str(step)


@lru_cache
def _findings() -> dict[str, dict[str, str]]:
    text = resources.files("node.probe").joinpath("data/findings.toml").read_text("utf-8")
    return tomllib.loads(text)
