"""What a certificate or a client makes the node fetch never leads inside, however it is spelt."""

from __future__ import annotations

import socket

import pytest

from node.errors import NetworkFault, TheirFault
from node.outbound_fetch import FetchRules, fetch, open_fetching

INSIDE = {
    "loopback": "http://127.0.0.1/a.crl",
    "loopback by name": "http://localhost/a.crl",
    "loopback by name with a dot": "http://localhost./a.crl",
    "loopback as one number": "http://2130706433/a.crl",
    "loopback in hexadecimal": "http://0x7f000001/a.crl",
    "loopback in octal": "http://0177.0.0.1/a.crl",
    "loopback shortened": "http://127.1/a.crl",
    "loopback in other digits": "http://①②⑦.0.0.1/a.crl",
    "loopback of IPv6": "http://[::1]/a.crl",
    "nowhere": "http://0.0.0.0/a.crl",
    "nowhere of IPv6": "http://[::]/a.crl",
    "IPv4 mapped into IPv6": "http://[::ffff:169.254.169.254]/a.crl",
    "IPv4 compatible": "http://[::127.0.0.1]/a.crl",
    "IPv4 translated": "http://[::ffff:0:7f00:1]/a.crl",
    "behind NAT64": "http://[64:ff9b::a9fe:a9fe]/a.crl",
    "behind a NAT64 of somebody": "http://[64:ff9b:1::7f00:1]/a.crl",
    "behind 6to4": "http://[2002:a00:1::1]/a.crl",
    "behind Teredo": "http://[2001::a00:1]/a.crl",
    "link": "http://[fe80::1%25eth0]/a.crl",
    "site": "http://[fec0::1]/a.crl",
    "unique local": "http://[fd00:ec2::254]/a.crl",
    "many": "http://224.0.0.1/a.crl",
    "many of IPv6": "http://[ff0e::1]/a.crl",
    "cloud metadata": "http://169.254.169.254/latest/meta-data/",
    "carrier": "http://100.64.0.1/a.crl",
    "a file": "file:///etc/passwd",
    "another protocol": "gopher://ca.example/a.crl",
    "a user": "http://ca.example:80@127.0.0.1/a.crl",
    "no host": "http:///a.crl",
    "no address": "a.crl",
}


def sockaddr(address: str, port: int) -> tuple:
    return (address, port, 0, 0) if ":" in address else (address, port)


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE)
async def test_no_address_inside_is_asked(address):
    rules = FetchRules(seconds=5)
    async with open_fetching(rules) as session:
        with pytest.raises((TheirFault, NetworkFault)) as caught:
            await fetch(session, address, rules, max_bytes=100)
    # the second one: a spelling that no resolver takes, so that nothing is connected to
    assert caught.value.code in ("fetch-address-refused", "fetch-failed")
    assert caught.value.code == "fetch-address-refused" or address in ODD


ODD = [INSIDE[each] for each in (
    "loopback by name with a dot", "loopback as one number", "loopback in hexadecimal",
    "loopback in octal", "loopback shortened")]  # fmt: skip


@pytest.mark.parametrize("hidden", ["127.0.0.1", "64:ff9b::7f00:1", "::ffff:10.0.0.1"])
async def test_a_name_that_leads_inside_and_outside_is_not_asked(monkeypatch, hidden):
    """As one that is changed between two look-ups (DNS rebinding): what is connected to counts."""

    def resolved(_host, port, *_args, **_more):
        found = []
        for each in ("192.0.2.1", hidden):
            family = socket.AF_INET6 if ":" in each else socket.AF_INET
            found.append((family, socket.SOCK_STREAM, 6, "", sockaddr(each, port)))
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    rules = FetchRules(seconds=5)
    async with open_fetching(rules) as session:
        with pytest.raises(TheirFault) as caught:
            await fetch(session, "http://ca.example/a.crl", rules, max_bytes=100)
    assert caught.value.code == "fetch-address-refused"


@pytest.mark.parametrize("address", ["198.51.100.7", "8.8.8.8", "64:ff9b::808:808", "2606:4700::1"])
async def test_an_address_outside_may_be_asked(monkeypatch, address):
    """Also where IPv4 is reached through NAT64."""

    def resolved(_host, port, *_args, **_more):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", sockaddr(address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    asked: list[str] = []

    async def connect(_loop, _sock, where):
        asked.append(where[0])
        raise ConnectionRefusedError

    rules = FetchRules(seconds=5)
    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", connect)
    async with open_fetching(rules) as session:
        with pytest.raises((NetworkFault, TheirFault)) as caught:
            await fetch(session, "http://ca.example/a.crl", rules, max_bytes=100)
    if address == "198.51.100.7":  # for documentation: not public
        assert caught.value.code == "fetch-address-refused"
    else:
        assert (caught.value.code, asked) == ("fetch-failed", [address])
