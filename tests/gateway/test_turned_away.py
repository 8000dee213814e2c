"""What listeners turn away at a limit is counted, by whom it was, in a bounded number of rows."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from node.gateway.limits import ConnectionLimits
from node.gateway.mllp import MllpAnswers, MllpLimits, serving_mllp
from node.gateway.oauth.patience import Patience
from node.gateway.server import serving
from node.gateway.turned_away import MOST_KEYS, Throttle, Turnstile
from tests.gateway.test_listener import application, ask, connected

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def turnstile() -> Turnstile:
    seconds = count()
    return Turnstile(lambda: NOW + timedelta(seconds=next(seconds)))


def numbers(turnstile: Turnstile) -> dict[tuple[str, str, str | None], int]:
    return {(e.listener, e.throttle.value, e.key): e.number for e in turnstile.taken()}


async def test_connections_past_the_limit_are_counted_with_the_key_they_showed(
    us, them, turnstile
) -> None:
    limits = ConnectionLimits(connections=1)
    made = serving(
        application(), "127.0.0.1", 0, us.server, limits=limits, turn_away=turnstile.at("gateway")
    )
    async with made as bound, connected(bound, them.client) as (first, writer):
        await ask(first, writer, "/who")
        for _ in range(3):
            async with connected(bound, them.client) as (turned, _):
                assert (await asyncio.wait_for(turned.read(), 5)).startswith(b"HTTP/1.1 503 ")
    assert numbers(turnstile) == {("gateway", "limit-connections", them.pin): 3}
    assert turnstile.taken() == []


async def test_no_peer_takes_all_connections(us, them, turnstile) -> None:
    """Another peer gets in beside one that has all that are its own (DESIGN law 7)."""
    limits = ConnectionLimits(of_one_peer=1)
    made = serving(
        application(), "127.0.0.1", 0, us.server, limits=limits, turn_away=turnstile.at("gateway")
    )
    async with made as bound, connected(bound, them.client) as (first, writer):
        await ask(first, writer, "/who")
        async with connected(bound, them.client) as (turned, _):
            assert (await asyncio.wait_for(turned.read(), 5)).startswith(b"HTTP/1.1 503 ")
        async with connected(bound, us.client) as (other, speaking):
            assert (await ask(other, speaking, "/who")).startswith(b"HTTP/1.1 200 ")
        assert (await ask(first, writer, "/who")).startswith(b"HTTP/1.1 200 ")
    assert numbers(turnstile) == {("gateway", "limit-connections", them.pin): 1}


async def test_requests_heads_and_sizes_past_a_limit_are_counted(turnstile) -> None:
    limits = ConnectionLimits(requests=1, head=0.3, stop=0.1)
    made = serving(application(), "127.0.0.1", 0, None, limits=limits, turn_away=turnstile.at("a"))
    async with made as bound, contextlib.AsyncExitStack() as stack:
        one, two, three, four = [
            await stack.enter_async_context(connected(bound, None)) for _ in range(4)
        ]
        two[1].write(b"GET /who HTTP/1.1\r\nx: " + b"y" * 40_000)
        assert (await asyncio.wait_for(two[0].read(), 5)).startswith(b"HTTP/1.1 431 ")
        one[1].write(b"GET /slow HTTP/1.1\r\nhost: us\r\n\r\n")
        assert (await ask(*three, "/who")).startswith(b"HTTP/1.1 503 ")
        four[1].write(b"GET /who")
        assert (await asyncio.wait_for(four[0].read(), 5)).startswith(b"HTTP/1.1 408 ")
    found = numbers(turnstile)
    assert found["a", "limit-requests", None] == 1
    assert found["a", "limit-head-size", None] == 1
    assert found["a", "limit-head-time", None] >= 1


async def test_senders_of_encounters_past_the_limit_are_counted(turnstile) -> None:
    async def take(_: bytes) -> bytes:
        return b""

    answers = MllpAnswers(take=take, too_large=lambda: b"")
    limits = MllpLimits(connections=1)
    made = serving_mllp(
        answers, "127.0.0.1", 0, None, limits=limits, turn_away=turnstile.at("mllp")
    )
    async with made as bound, connected(bound, None), connected(bound, None) as (turned, _):
        assert await asyncio.wait_for(turned.read(), 5) == b""
    assert numbers(turnstile) == {("mllp", "limit-connections", None): 1}


def test_refusals_that_there_is_no_patience_for_are_counted(turnstile) -> None:
    turn_away = turnstile.at("fhir")
    patience = Patience(2, everybody=3, spent=lambda: turn_away(Throttle.RATE, None))
    allowed = [patience.allows(who, 0.0) for who in ("a", "a", "a", "b", "c")]
    assert allowed == [True, True, False, True, False]
    assert numbers(turnstile) == {("fhir", "limit-rate", None): 2}


def test_a_flood_of_keys_stays_a_bounded_number_of_rows(turnstile) -> None:
    turn_away = turnstile.at("gateway")
    for number in range(500):
        turn_away(Throttle.CONNECTIONS, f"{number:064x}")
    found = numbers(turnstile)
    assert len(found) == MOST_KEYS + 1
    assert found["gateway", "limit-connections", None] == 500 - MOST_KEYS


def test_what_was_given_back_is_counted_with_what_came_meanwhile(turnstile) -> None:
    turn_away = turnstile.at("gateway")
    turn_away(Throttle.CONNECTIONS, None)
    taken = turnstile.taken()
    turn_away(Throttle.CONNECTIONS, None)
    turnstile.give_back(taken)
    (row,) = turnstile.taken()
    assert (row.number, row.first, row.last) == (2, NOW, NOW + timedelta(seconds=1))
