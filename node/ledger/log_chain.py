"""Do the logs of following years belong together? Pure; from what verifying each of them gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from node.ledger import leaf
from node.ledger.log_link import CLOSE, OPEN, linked
from node.ledger.log_verify import Verified
from node.ledger.retired_log import RETAIN
from node.ledger.tlog.audit import Finding
from node.ledger.trust_change import Step


def chain_findings(logs: Sequence[Verified]) -> list[Finding]:
    """Where the logs of following years do not name each other, or their numbers do not run on."""
    links = [finding for before, after in pairwise(logs) for finding in _between(before, after)]
    return links + [finding for log in logs if log.retired for finding in _record(log, logs)]


def _record(log: Verified, logs: Sequence[Verified]) -> Iterator[Finding]:
    """A log whose entries are gone needs an entry of another one that says so."""
    for data in (record for other in logs for record in other.records):
        told = linked(data, RETAIN)
        named = (told.get("log"), told.get("size"), told.get("root"), told.get("step"))
        if named == (log.origin, log.size, leaf.from_bytes(log.root), Step.DONE):
            return
    sentence = f"The entries of {log.origin} are gone, and no entry of another log says so."
    yield Finding(code="log-link-broken", sentence=sentence)


def _between(before: Verified, after: Verified) -> Iterator[Finding]:
    if before.first is not None and after.first is not None:
        expected = before.first + before.size
        if after.first != expected:
            sentence = f"{after.origin} begins with the number {after.first} instead of {expected}."
            yield Finding(code="log-entry-invalid", sentence=sentence, index=0)
    if before.size and linked(before.closing, CLOSE).get("log") != after.origin:
        sentence = f"The last entry of {before.origin} does not say that {after.origin} goes on."
        yield Finding(code="log-link-broken", sentence=sentence, index=before.size - 1)
    if not after.size:
        return  # begun, and nothing of it is sealed yet
    told = linked(after.opening, OPEN)
    if told.get("log") != before.origin:
        sentence = (
            f"The first entry of {after.origin} does not say that it follows {before.origin}."
        )
        yield Finding(code="log-link-broken", sentence=sentence, index=0)
    elif (told.get("size"), told.get("root")) != (before.size, leaf.from_bytes(before.root)):
        yield Finding(
            code="log-link-broken",
            sentence=f"The first entry of {after.origin} names another end of {before.origin}.",
            index=0,
            expected=leaf.to_bytes(str(told["root"])).hex() if "root" in told else None,
            found=before.root.hex(),
        )
