"""A peer's UDAP metadata, believed by its signature alone (fhir-and-udap 1.3).

The signed part must lead to a community that we know, by a certificate with the base address in its
SAN, and the base address or the key must be the organisation's that the directory names. What was
believed is kept for an hour, and judged anew by the anchors and CRLs of the moment at each use.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.errors import TheirFault
from node.peers.udap.calls import AuthorizationCalls
from node.peers.udap.own import FhirServerAt, OwnSide
from trust.binding import BindingMethod
from trust.udap.binding import NamedSigner, bind_uri
from trust.udap.jwt import proved, read_jwt
from trust.udap.metadata import Discovered, check_signed, read_plain
from trust.udap.signers import SignerVerdict, judge_signer

METADATA_AGE = timedelta(hours=1)
MAX_KEPT = 10_000
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Metadata that was believed, in which community, and why."""

    metadata: Discovered
    verdict: SignerVerdict
    binding: str
    until: datetime

    @property
    def community(self) -> str:
        """The community of its signer."""
        return self.verdict.community or ""


class Discovery:
    """Finds the metadata of peers' servers."""

    def __init__(self, own: OwnSide, calls: AuthorizationCalls) -> None:
        """``own`` says whom we trust."""
        self._own = own
        self._calls = calls
        self._kept: OrderedDict[tuple[str, str], Found] = OrderedDict()

    async def discover(self, server: FhirServerAt, community: str | None = None) -> Found:
        """A server's metadata, believed by its signature.

        Args:
            server: whose.
            community: which community it shall show itself in; any that we know when ``None``.

        Raises:
            NodeError: when it cannot be reached or has no UDAP.
            TrustError: why it is not believed; nothing may be sent to it.
        """
        key = (server.base_url, community or "")
        now = self._own.clock.now()
        kept = self._kept.get(key)
        if kept is not None and now < kept.until and self._holds(kept, now):
            return kept
        found = await self._discover(server, community, now)
        self._kept[key] = found
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _discover(self, server: FhirServerAt, community: str | None, now: datetime) -> Found:
        url = f"{server.base_url}/.well-known/udap"
        query = {} if community is None else {"community": community}
        answer = await self._calls.get(url, server.judge, query=query)
        if answer.status != _OK or not answer.document:
            raise TheirFault(
                "udap-not-offered",
                "The peer's FHIR server has no UDAP metadata for us.",
                detail=f"status {answer.status}",
            )
        plain = read_plain(answer.document)
        sealed = read_jwt(plain.signed)
        verdict = judge_signer(sealed.leaf, sealed.intermediates, self._own.knowledge(), now=now)
        if not verdict.ok or community not in (None, verdict.community):
            raise TheirFault(
                "udap-metadata-not-believed",
                f"The signer of the peer's metadata is not believed: {verdict.sentence}",
                detail=verdict.reason_code,
            )
        metadata = check_signed(
            proved(sealed),
            plain,
            algorithm=sealed.algorithm,
            uris=verdict.uris,
            base_url=server.base_url,
            now=now,
        )
        bound = bind_uri(
            NamedSigner(
                uri=server.base_url,
                key=verdict.key,
                vouched_locally=verdict.anchor not in self._own.only_listed(),
            ),
            server.trust,
            home_community_id=server.entry.home_community_id,
            allow_unpinned=self._own.allow_unpinned,
        )
        if not isinstance(bound, BindingMethod):
            raise TheirFault("peer-not-bound", bound.sentence, detail=bound.code)
        return Found(
            metadata=metadata,
            verdict=verdict,
            binding=bound.value,
            until=min(now + METADATA_AGE, metadata.expires),
        )

    def _holds(self, found: Found, now: datetime) -> bool:
        """Whether its signer would be believed at this moment still: CRLs, anchors, denials."""
        sealed = read_jwt(found.metadata.plain.signed)
        return judge_signer(sealed.leaf, sealed.intermediates, self._own.knowledge(), now=now).ok
