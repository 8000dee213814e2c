"""Certificate policies along a path (RFC 5280 6.1, with the graph of RFC 9618).

The tree of RFC 5280 can grow exponentially; the graph has one node per policy and level, so the
work is bounded by the policies that the certificates list.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from cryptography import x509

from trust.der import OBJECT_IDENTIFIER, SEQUENCE, dotted, elements, only

MAX_POLICIES = 64
"""Policies or mappings in one certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInputs:
    """What the caller demands (RFC 5280 6.1.1 c, e, f, g).

    Attributes:
        acceptable: the policies of which one must hold, as dotted OIDs; ``None`` for any.
        explicit: whether some policy must hold all along the path.
        inhibit_mapping: whether CAs may not map policies.
        inhibit_any: whether anyPolicy counts for nothing.
    """

    acceptable: frozenset[str] | None = None
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


@dataclass(slots=True)
class _Node:
    expected: set[str]
    parents: set[str]


_Level = dict[str, _Node]


@lru_cache
def policy_oids() -> dict[str, str]:
    """The OIDs of ``data/extensions.toml``: ``any-policy``, ``policy-mappings``."""
    text = resources.files("trust").joinpath("data/extensions.toml").read_text(encoding="utf-8")
    return {name: str(oid) for name, oid in tomllib.loads(text)["policies"].items()}


@dataclass(slots=True)
class PolicyState:
    """The policy variables of RFC 5280 6.1.2, moved along a path certificate by certificate.

    Attributes:
        inputs: what the caller demands.
        length: certificates of the path without its anchor.
    """

    inputs: PolicyInputs
    length: int
    _explicit: int = field(init=False)
    _mapping: int = field(init=False)
    _any: int = field(init=False)
    _levels: list[_Level] | None = field(init=False)

    def __post_init__(self) -> None:
        """Sets the variables as RFC 5280 6.1.2 says."""
        self._explicit = 0 if self.inputs.explicit else self.length + 1
        self._mapping = 0 if self.inputs.inhibit_mapping else self.length + 1
        self._any = 0 if self.inputs.inhibit_any else self.length + 1
        self._levels = [{_any_policy(): _Node({_any_policy()}, set())}]

    def step(self, certificate: x509.Certificate, *, self_issued: bool, last: bool) -> str | None:
        """Processes the next certificate from the anchor's side; says what is wrong, or ``None``.

        Raises:
            ValueError: when a policy extension is malformed.
        """
        asserted = _asserted(certificate)
        mappings = _mappings(certificate)
        if len(asserted or ()) > MAX_POLICIES or len(mappings) > MAX_POLICIES:
            return "A certificate lists too many policies."
        if asserted is None:
            self._levels = None
        elif self._levels is not None:
            self._descend(asserted, allow_any=self._any > 0 or (self_issued and not last))
        if self._explicit == 0 and self._levels is None:
            return _NO_POLICY
        if not last:
            refusal = self._map(mappings)
            if refusal is not None:
                return refusal
        if last or not self_issued:
            self._explicit = max(0, self._explicit - 1)
            self._mapping = max(0, self._mapping - 1)
            self._any = max(0, self._any - 1)
        self._constrain(certificate, last=last)
        return self._conclude() if last else None

    def _descend(self, asserted: set[str], *, allow_any: bool) -> None:
        assert self._levels is not None  # noqa: S101 - for the type checker
        above = self._levels[-1]
        wildcard = _any_policy()
        level: _Level = {}
        for policy in asserted - {wildcard}:
            parents = {name for name, node in above.items() if policy in node.expected}
            if not parents and wildcard in above:
                parents = {wildcard}
            if parents:
                level[policy] = _Node({policy}, parents)
        if wildcard in asserted and allow_any:
            wanted = {policy for node in above.values() for policy in node.expected}
            for policy in wanted - level.keys():
                parents = {name for name, node in above.items() if policy in node.expected}
                level[policy] = _Node({policy}, parents)
        self._levels.append(level)
        self._prune()

    def _map(self, mappings: list[tuple[str, str]]) -> str | None:
        wildcard = _any_policy()
        if any(wildcard in pair for pair in mappings):
            return "A CA of the chain maps a policy to or from any policy."
        if self._levels is None:
            return None
        level = self._levels[-1]
        sources = {source for source, _ in mappings}
        if self._mapping == 0:
            for source in sources:
                level.pop(source, None)
            self._prune()
            return None
        for source in sources:
            targets = {target for origin, target in mappings if origin == source}
            if source in level:
                level[source].expected = targets
            elif wildcard in level:
                level[source] = _Node(targets, {wildcard})
        return None

    def _prune(self) -> None:
        assert self._levels is not None  # noqa: S101 - for the type checker
        for below, level in zip(self._levels[:0:-1], self._levels[-2::-1], strict=True):
            wanted = {parent for node in below.values() for parent in node.parents}
            for policy in level.keys() - wanted:
                del level[policy]
        if not self._levels[-1]:
            self._levels = None

    def _constrain(self, certificate: x509.Certificate, *, last: bool) -> None:
        for extension in certificate.extensions:
            value = extension.value
            if isinstance(value, x509.PolicyConstraints):
                required = value.require_explicit_policy
                if required is not None and (not last or required == 0):
                    self._explicit = min(self._explicit, required)
                if value.inhibit_policy_mapping is not None and not last:
                    self._mapping = min(self._mapping, value.inhibit_policy_mapping)
            elif isinstance(value, x509.InhibitAnyPolicy) and not last:
                self._any = min(self._any, value.skip_certs)

    def _conclude(self) -> str | None:
        if self._explicit > 0:
            return None
        if self._levels is None:
            return _NO_POLICY
        if self.inputs.acceptable is None or _any_policy() in self._levels[-1]:
            return None
        # Every node that is left reaches the leaf, so the policies of the caller's own world (those
        # right below anyPolicy) decide.
        authority = {
            policy
            for level in self._levels[1:]
            for policy, node in level.items()
            if _any_policy() in node.parents
        }
        return None if authority & self.inputs.acceptable else _NO_POLICY


_NO_POLICY = "The chain has no certificate policy that is acceptable."


def _any_policy() -> str:
    return policy_oids()["any-policy"]


def _asserted(certificate: x509.Certificate) -> set[str] | None:
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return None
    return {policy.policy_identifier.dotted_string for policy in policies}


def _mappings(certificate: x509.Certificate) -> list[tuple[str, str]]:
    for extension in certificate.extensions:
        if extension.oid.dotted_string == policy_oids()["policy-mappings"]:
            value = extension.value
            assert isinstance(value, x509.UnrecognizedExtension)  # noqa: S101 - the library has none
            return [_pair(pair) for _, _, pair in elements(only(value.value, SEQUENCE))]
    return []


def _pair(element: bytes) -> tuple[str, str]:
    parts = list(elements(only(element, SEQUENCE)))
    if [tag for tag, _, _ in parts] != [OBJECT_IDENTIFIER, OBJECT_IDENTIFIER]:
        raise ValueError("a policy mapping is not a pair of identifiers")
    return dotted(parts[0][1]), dotted(parts[1][1])
