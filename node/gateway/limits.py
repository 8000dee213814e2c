"""What one connection and one request may cost a listener (DESIGN law 7)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of the HTTP layer; times are in seconds, sizes in bytes.

    Attributes:
        handshake: time for the TLS handshake.
        head: time from the first byte of a request (or from the connection) to the end of its
            headers; a slower client gets 408.
        idle: time a kept-alive connection may rest between two requests.
        age: after this a connection takes no further request, so that a revoked or rotated
            certificate does not live on in it (facts: pki A4).
        overtime: time past ``age`` after which even a running request is cut off.
        stall: time a client may leave our answer unread before it is cut off.
        stop: time that running requests get when the listener stops.
        head_bytes: size of request line and headers together; more gets 431. So much may also
            stand between two pieces of a body, and after the last one.
        head_fields: number of header fields; more gets 431.
        connections: open connections; one more gets 503.
        of_one_peer: open connections with one client key, so that no peer takes all of them; one
            more gets 503.
        handshakes: connections whose TLS handshake is going on; with one more, the one that has
            taken longest is cut.
        requests: requests being served; one more gets 503.
        ahead: requests that one connection may send before it has its answers.
    """

    handshake: float = 10.0
    head: float = 10.0
    idle: float = 30.0
    age: float = 3600.0
    overtime: float = 600.0
    stall: float = 30.0
    stop: float = 10.0
    head_bytes: int = 32 * 1024
    head_fields: int = 100
    connections: int = 1000
    of_one_peer: int = 500
    handshakes: int = 1000
    requests: int = 500
    ahead: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """Limits of one SOAP request; times are in seconds, sizes in bytes.

    Attributes:
        body_bytes: the request as it came over the wire.
        plain_bytes: the request after decompression.
        body: time for the whole request body to arrive.
        linger: time and
        linger_bytes: size that is read and thrown away after an early refusal, so that the sender
            can read it instead of meeting a reset connection.
        delivery_bytes: a request that brings documents, before and after decompression, and
        delivery: the time for it to arrive; its SOAP part alone is held to the limits above.
        documents: how many it may bring.
        gzip_from: smallest answer that is compressed for a peer that accepts it. Smaller ones fit
            into what a connection sends at once (10 segments), so that compressing them saves
            nobody time and costs more than writing them.
    """

    body_bytes: int = 4 * 1024 * 1024
    plain_bytes: int = 8 * 1024 * 1024
    body: float = 30.0
    linger: float = 2.0
    linger_bytes: int = 64 * 1024 * 1024
    delivery_bytes: int = 256 * 1024 * 1024
    delivery: float = 300.0
    documents: int = 100
    gzip_from: int = 14 * 1024
