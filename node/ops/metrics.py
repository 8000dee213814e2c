"""What the node counts, in a registry of its own (no process-wide state, no PHI in labels).

Labels are closed sets (transaction, outcome, direction, a code) or home community ids of directory
entries, so the number of series is bounded by the directory. What runs out is named as in
``cert plan``: by role or by the operator's own label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from node.model import Direction, Leg, Outcome, Step, Transaction

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The node's collectors; one instance per process, made by the composition root."""

    def __init__(self) -> None:
        """Makes an empty registry."""
        self.registry = CollectorRegistry()
        self._legs = Counter(
            "tefca_legs_total",
            "Transactions with one peer, by how they ended.",
            ("direction", "transaction", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tefca_leg_seconds",
            "Duration of a transaction with one peer.",
            ("direction", "transaction"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._deviations = Counter(
            "tefca_deviations_total",
            "Tolerated deviations from the standards, by peer.",
            ("peer", "deviation"),
            registry=self.registry,
        )
        self._refusals = Counter(
            "tefca_refusals_total",
            "Requests refused before policy, by reason.",
            ("transaction", "reason"),
            registry=self.registry,
        )
        self._requests = Histogram(
            "tefca_gateway_seconds",
            "Duration of a request at a listener, by HTTP status.",
            ("transaction", "status"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._breakers = Gauge(
            "tefca_peer_circuit_open",
            "1 while requests to a peer are held back after failures.",
            ("peer",),
            registry=self.registry,
        )
        self._connections = Gauge(
            "tefca_gateway_connections",
            "Open inbound connections, by listener.",
            ("listener",),
            registry=self.registry,
        )

        self._sealed_entries = Gauge(
            "tefca_log_sealed_entries",
            "Entries under the newest signed checkpoint of the log.",
            registry=self.registry,
        )
        self._sealed_time = Gauge(
            "tefca_log_sealed_timestamp_seconds",
            "When the log was found sealed last; alarm when it is older than 15 minutes.",
            registry=self.registry,
        )
        self._sealing_failures = Counter(
            "tefca_log_sealing_failures_total",
            "Passes that could not seal the log.",
            registry=self.registry,
        )
        self._witness_requests = Counter(
            "tefca_witness_requests_total",
            "Requests to our witness, by the status of the answer.",
            ("status",),
            registry=self.registry,
        )
        self._witness_failures = Counter(
            "tefca_log_witness_failures_total",
            "Times that a witness of our log was asked and did not sign, by its directory id.",
            ("witness", "code"),
            registry=self.registry,
        )
        self._witnesses = Gauge(
            "tefca_log_witnesses",
            "Witnesses of our log: those asked, and those that signed the newest checkpoint.",
            ("what",),
            registry=self.registry,
        )
        self._quorum_time = Gauge(
            "tefca_log_quorum_timestamp_seconds",
            "When enough witnesses had signed last; alarm when it is older than 15 minutes.",
            registry=self.registry,
        )
        self._compared_time = Gauge(
            "tefca_log_compared_timestamp_seconds",
            "When log and database were compared last, whole or by sample.",
            ("how",),
            registry=self.registry,
        )
        self._differences = Gauge(
            "tefca_log_differences",
            "Differences that the last comparison found; anything but 0 needs somebody.",
            ("how",),
            registry=self.registry,
        )
        self._compare_failures = Counter(
            "tefca_log_compare_failures_total",
            "Comparisons of log and database that could not be made.",
            registry=self.registry,
        )
        self._captured = Counter(
            "tefca_captured_messages_total",
            "Entries whose messages were to be kept as they were on the wire, by what came of it.",
            ("outcome",),
            registry=self.registry,
        )
        # finding a series by its labels costs more than counting: these few are kept at hand
        self._leg_count = cache(self._legs.labels)
        self._leg_seconds = cache(self._seconds.labels)
        self._request_seconds = cache(self._requests.labels)
        self._expiries = _Expiries()
        self.registry.register(self._expiries)
        self._served = Gauge(
            "tefca_certificate_served_is_current",
            "1 while our own port serves the certificate that is in use.",
            ("role",),
            registry=self.registry,
        )
        self._identity_refused = Gauge(
            "tefca_identity_refused",
            "1 while an identity was switched to that this process cannot use.",
            ("role",),
            registry=self.registry,
        )
        self._trust_refused = Gauge(
            "tefca_trust_refused",
            "Reasons for which whom the files say is not whom this process trusts; 0 is usual.",
            registry=self.registry,
        )
        self._crl_fetches = Counter(
            "tefca_crl_fetches_total",
            "CRL fetches, by what came of them: new, same, or an error code.",
            ("outcome",),
            registry=self.registry,
        )
        self._ocsp = Counter(
            "tefca_ocsp_answers_total",
            "OCSP questions, by what was answered: good, or an error code.",
            ("outcome",),
            registry=self.registry,
        )
        self._trust_warnings = Counter(
            "tefca_trust_warnings_total",
            "Transactions with a peer about whose keys something was let pass, by warning.",
            ("warning",),
            registry=self.registry,
        )

        self._audit_sent = Counter(
            "tefca_audit_entries_sent_total",
            "Entries that the audit repository has confirmed.",
            registry=self.registry,
        )
        self._audit_lag = Gauge(
            "tefca_audit_lag_entries",
            "Entries that wait to be sent to the audit repository, or to be confirmed.",
            registry=self.registry,
        )
        self._audit_skipped = Counter(
            "tefca_audit_entries_left_out_total",
            "Entries that the audit repository was told not to expect: too many were waiting.",
            registry=self.registry,
        )
        self._audit_failures = Counter(
            "tefca_audit_failures_total",
            "Passes that could not feed the audit repository, by error code.",
            ("code",),
            registry=self.registry,
        )

    def audit_sent(self, entries: int) -> None:
        """Count entries that the audit repository has."""
        self._audit_sent.inc(entries)

    def audit_lag(self, entries: int) -> None:
        """Say how many entries wait for the audit repository."""
        self._audit_lag.set(entries)

    def audit_skipped(self, entries: int) -> None:
        """Count entries that were left out of what the audit repository gets."""
        self._audit_skipped.inc(entries)

    def audit_failed(self, code: str) -> None:
        """Count a pass that could not feed the audit repository."""
        self._audit_failures.labels(code).inc()

    def crl_fetched(self, outcome: str) -> None:
        """Count a fetch of a CRL."""
        self._crl_fetches.labels(outcome).inc()

    def ocsp_asked(self, outcome: str) -> None:
        """Count a question to an OCSP responder."""
        self._ocsp.labels(outcome).inc()

    def trust_warnings(self, codes: Iterable[str]) -> None:
        """Count what was let pass about a peer's keys."""
        for code in codes:
            self._trust_warnings.labels(code).inc()

    def leg(self, leg: Leg) -> None:
        """Count a leg that ended."""
        self.leg_ended(leg.direction, leg.transaction, leg.outcome, leg.duration_ms / 1000)

    def leg_ended(
        self, direction: Direction, transaction: Step, outcome: Outcome, seconds: float
    ) -> None:
        """Count a transaction with one peer and its duration in seconds."""
        self._leg_count(direction, transaction, outcome).inc()
        self._leg_seconds(direction, transaction).observe(seconds)

    def deviations(self, peer: str, names: Iterable[str]) -> None:
        """Count tolerated deviations; ``peer`` is a home community id of the directory."""
        for name in names:
            self._deviations.labels(peer, name).inc()

    def refusal(self, transaction: Transaction, reason: str) -> None:
        """Count a request refused before policy."""
        self._refusals.labels(transaction, reason).inc()

    def request(self, transaction: Transaction, status: int, seconds: float) -> None:
        """Count a request at a listener and its duration in seconds."""
        self._request_seconds(transaction, str(status)).observe(seconds)

    def circuit(self, peer: str, *, is_open: bool) -> None:
        """Say whether requests to a peer are held back."""
        self._breakers.labels(peer).set(1 if is_open else 0)

    def watch_connections(self, listener: str, count: Callable[[], int]) -> None:
        """Report what ``count`` says whenever the metrics are read."""
        self._connections.labels(listener).set_function(count)

    def watch_expiry(self, left: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        """Report seconds to the end by (kind, name), as ``left`` says when metrics are read."""
        self._expiries.left = left

    def watch_trust(self, faults: Callable[[], int]) -> None:
        """Report how many reasons keep the trust that the files say from being taken."""
        self._trust_refused.set_function(faults)

    def served(self, role: str, *, is_current: bool) -> None:
        """Say whether the port of a role serves the certificate that is in use."""
        self._served.labels(role).set(1 if is_current else 0)

    def identity_refused(self, role: str, *, is_refused: bool) -> None:
        """Say whether the identity in use could not be taken by this process."""
        self._identity_refused.labels(role).set(1 if is_refused else 0)

    def sealed(self, entries: int) -> None:
        """Note that the log is sealed up to so many entries now."""
        self._sealed_entries.set(entries)
        self._sealed_time.set_to_current_time()

    def sealing_failed(self) -> None:
        """Count a pass that could not seal."""
        self._sealing_failures.inc()

    def witnessed(self, status: int) -> None:
        """Count a request to our witness."""
        self._witness_requests.labels(str(status)).inc()

    def witness_failed(self, organization_id: str, code: str) -> None:
        """Count a witness of our log that did not sign."""
        self._witness_failures.labels(organization_id, code).inc()

    def witnesses(self, signed: int, asked: int, *, quorum: bool) -> None:
        """Say how many witnesses there are, and how many signed the newest checkpoint."""
        self._witnesses.labels("asked").set(asked)
        self._witnesses.labels("signed").set(signed)
        if quorum:
            self._quorum_time.set_to_current_time()

    def compared(self, how: str, differences: int) -> None:
        """Note a comparison of the log (``whole`` or ``sample``) and what it found."""
        self._compared_time.labels(how).set_to_current_time()
        self._differences.labels(how).set(differences)

    def not_compared(self) -> None:
        """Count a comparison that could not be made."""
        self._compare_failures.inc()

    def captured(self, entries: int) -> None:
        """Count entries whose messages were kept."""
        self._captured.labels("kept").inc(entries)

    def not_captured(self, entries: int) -> None:
        """Count entries whose messages could not be kept."""
        self._captured.labels("lost").inc(entries)

    def purged(self, entries: int) -> None:
        """Count entries whose messages were deleted because their days were over."""
        self._captured.labels("purged").inc(entries)

    def text(self) -> bytes:
        """All values in the Prometheus text format."""
        return generate_latest(self.registry)


class _Expiries(Collector):
    """Seconds to the end of everything that runs out, computed when it is read."""

    def __init__(self) -> None:
        self.left: Callable[[], Mapping[tuple[str, str], float]] = dict

    def collect(self) -> Iterator[Metric]:
        """The gauge as of now."""
        family = GaugeMetricFamily(
            "tefca_expiry_seconds",
            "Seconds until something runs out; negative when it has.",
            labels=("kind", "name"),
        )
        for (kind, name), seconds in self.left().items():
            family.add_metric((kind, name), seconds)
        yield family
