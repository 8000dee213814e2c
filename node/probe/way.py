"""Judges the way to a peer: entry, name, connections, TLS, our client certificate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from node.exchange.ports import PeerEntry
from node.model import Transaction
from node.policy.decide import Decision
from node.probe.layers import Layer, LayerResult, State, found, ok
from node.probe.observed import Greeting, Reached, Resolution, Trouble
from trust.tls_observer import TlsObservation

_CERTIFICATE_ALERTS = {
    "certificate_expired": "client-certificate-expired",
    "certificate_revoked": "client-certificate-revoked",
    "unknown_ca": "client-certificate-untrusted",
    "bad_certificate": "client-certificate-refused",
    "unsupported_certificate": "client-certificate-refused",
    "certificate_unknown": "client-certificate-refused",
    "access_denied": "client-certificate-refused",
    "certificate_required": "client-certificate-refused",
    "handshake_failure": "client-certificate-refused",
    "decrypt_error": "client-certificate-refused",
}
_TLS_ALERTS = {
    "protocol_version": "tls-version-refused",
    "handshake_failure": "tls-cipher-refused",
    "insufficient_security": "tls-cipher-refused",
}
_TLS_FAILURES = {
    "wrong version number": "tls-not-spoken",
    "http request": "tls-not-spoken",
    "packet length too long": "tls-not-spoken",
    "unsupported protocol": "tls-version-refused",
    "no shared cipher": "tls-cipher-refused",
}
_CONNECT = {
    Trouble.REFUSED: ("connect-refused", "Nobody listens"),
    Trouble.TIMED_OUT: ("connect-timeout", "No connection came about in time"),
    Trouble.UNREACHABLE: ("connect-unreachable", "There is no route from here"),
}


def judge_entry(entry: PeerEntry, transaction: Transaction, decision: Decision) -> LayerResult:
    """The directory entry: what the node's own policy says, and whether there is an endpoint."""
    address = entry.addresses.get(transaction)
    if not address:
        sentence = f"The directory has no address of this organisation for {transaction}."
        return found(Layer.DIRECTORY, "no-route", sentence)
    if not entry.home_community_id:
        sentence = "The directory has no home community id of this organisation."
        return found(Layer.DIRECTORY, "home-missing", sentence)
    if not decision.permitted:
        code = decision.reason or "no-route"
        return found(Layer.DIRECTORY, code, decision.sentence or "It may not be asked.")
    listed = entry.responds.get(transaction, frozenset())
    return ok(
        Layer.DIRECTORY,
        "The entry is active and has an endpoint.",
        {
            "endpoint": address,
            "answers": ", ".join(sorted(listed)) or "says nothing of purposes",
        },
    )


def judge_names(host: str, seen: Resolution) -> LayerResult:
    """The name server's answer."""
    if seen.addresses:
        listed = ", ".join(address.host for address in seen.addresses)
        return ok(Layer.DNS, f"{host} is {listed}.")
    if seen.trouble is Trouble.UNKNOWN_NAME:
        return found(Layer.DNS, "dns-unknown", f"There is no host {host}.")
    return found(Layer.DNS, "dns-unanswered", f"No name server answered for {host}.")


def judge_connections(tried: Sequence[Reached]) -> LayerResult:
    """One address that takes connections is enough; a dead one beside it is a warning."""
    good = [one for one in tried if one.trouble is None]
    bad = [one for one in tried if one.trouble is not None]
    facts = {
        f"{one.address.host} port {one.address.port}": one.trouble.value
        if one.trouble
        else f"connected in {one.ms} ms"
        for one in tried
    }
    if not good:
        trouble = bad[0].trouble or Trouble.FAILED
        code, words = _CONNECT.get(trouble, ("connect-failed", "The connection failed"))
        where = ", ".join(f"{one.address.host} port {one.address.port}" for one in bad)
        return found(Layer.TCP, code, f"{words}: {where}.", facts=facts)
    if bad:
        sentence = f"{len(bad)} of {len(tried)} addresses take no connection."
        return found(Layer.TCP, "addresses-partly-dead", sentence, state=State.WARN, facts=facts)
    return ok(Layer.TCP, "Every address takes connections.", facts)


def judge_tls(seen: TlsObservation, trouble: Trouble | None) -> LayerResult:
    """Version and cipher suite; what concerns our certificate is judged later."""
    if seen.finished or _refuses_us(seen, trouble):
        sentence = f"{seen.version or 'TLS'} with {seen.cipher or 'an unknown suite'}."
        return ok(Layer.TLS, sentence, {"certificates sent": str(len(seen.presented))})
    if seen.alert is not None:
        code = _TLS_ALERTS.get(seen.alert, "tls-alert")
        return found(
            Layer.TLS, code, f"The server sent the alert {seen.alert}.", facts={"alert": seen.alert}
        )
    if trouble is Trouble.TIMED_OUT:
        return found(Layer.TLS, "tls-silent", "The server did not take part in the handshake.")
    failure = seen.failure
    if failure is None or trouble is Trouble.CLOSED:
        return found(Layer.TLS, "tls-closed", "The server closed the connection in the handshake.")
    return found(
        Layer.TLS, _TLS_FAILURES.get(failure, "tls-failed"), f"The TLS handshake failed: {failure}."
    )


def judge_client_certificate(
    greeting: Greeting, own_until: datetime, *, now: datetime
) -> LayerResult:
    """Whether the server asked for our certificate, and whether it lets us in with it."""
    seen = greeting.seen
    if not seen.certificate_requested:
        return found(
            Layer.MTLS,
            "client-certificate-not-requested",
            "The server did not ask for our certificate: anybody may speak to it.",
        )
    if seen.alert is not None:
        code = _CERTIFICATE_ALERTS.get(seen.alert, "client-certificate-refused")
        if now > own_until:
            code = "client-certificate-expired"
        elif code == "client-certificate-expired":
            code = "client-certificate-refused"  # ours is in its time, so it means something else
        when = "after the handshake" if seen.finished else "in the handshake"
        sentence = f"The server asked for our certificate and refused it {when} ({seen.alert})."
        return found(Layer.MTLS, code, sentence, facts={"alert": seen.alert})
    if greeting.answered:
        status = f" (HTTP {greeting.status} for ?wsdl)" if greeting.status else ""
        return ok(Layer.MTLS, f"The server asked for our certificate and lets us in{status}.")
    if greeting.trouble is Trouble.CLOSED or seen.closed or seen.failure is not None:
        return found(
            Layer.MTLS,
            "closed-after-handshake",
            "The server asked for our certificate, saw it, and closed without a word.",
        )
    return ok(Layer.MTLS, "The server asked for our certificate and did not object to it.")


def _refuses_us(seen: TlsObservation, trouble: Trouble | None) -> bool:
    """Whether the handshake ended because of our certificate, as TLS 1.2 does it."""
    silent = seen.alert is None and trouble is Trouble.CLOSED
    return bool(seen.presented and seen.certificate_sent) and (
        silent or seen.alert in _CERTIFICATE_ALERTS
    )
