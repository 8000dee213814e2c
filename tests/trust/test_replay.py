"""The replay cache: bounded, and it never forgets what is still alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import TrustError
from trust.replay import ReplayCache

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(minutes=5)
SKEW = timedelta(minutes=5)


def refused(cache, key, *, until=UNTIL, now=NOW) -> str:
    with pytest.raises(TrustError) as error:
        cache.accept(key, until=until, now=now)
    return error.value.code


def test_the_second_time_is_a_replay_until_expiry_and_skew():
    cache = ReplayCache(skew=SKEW)
    cache.accept(b"a", until=UNTIL, now=NOW)
    last = UNTIL + SKEW - timedelta(microseconds=1)
    assert refused(cache, b"a") == "replay"
    assert refused(cache, b"a", now=last) == "replay"
    assert refused(cache, b"a", now=UNTIL + SKEW) == "assertion-expired"
    assert len(cache) == 0


def test_a_full_cache_refuses_rather_than_forgets():
    cache = ReplayCache(capacity=2, skew=SKEW)
    cache.accept(b"a", until=UNTIL, now=NOW)
    cache.accept(b"b", until=UNTIL + SKEW, now=NOW)
    assert refused(cache, b"c") == "replay-cache-full"
    assert refused(cache, b"a") == "replay"
    later = UNTIL + SKEW
    cache.accept(b"c", until=later + SKEW, now=later)
    assert refused(cache, b"b", until=UNTIL + SKEW, now=later) == "replay"
    assert len(cache) == 2


def test_a_full_cache_may_be_tried_again():
    cache = ReplayCache(capacity=0)
    with pytest.raises(TrustError) as error:
        cache.accept(b"a", until=UNTIL, now=NOW)
    assert error.value.retryable


events = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20), st.integers(0, 3)), max_size=60)


@given(events)
@settings(deadline=None)
def test_it_does_what_a_dictionary_would(events):
    cache, model, now = ReplayCache(capacity=4, skew=SKEW), {}, NOW
    for key, minutes, step in events:
        now += timedelta(minutes=step)
        model = {each: end for each, end in model.items() if end > now}
        end = now + timedelta(minutes=minutes - 10)
        name = bytes([key])
        if name in model:
            expected = "replay"
        elif end + SKEW <= now:
            expected = "assertion-expired"
        elif len(model) >= 4:
            expected = "replay-cache-full"
        else:
            expected = None
            model[name] = end + SKEW
        if expected is None:
            cache.accept(name, until=end, now=now)
        else:
            assert refused(cache, name, until=end, now=now) == expected
        assert len(cache) == len(model)
