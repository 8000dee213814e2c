"""Fast read access to the directory for the hot path: a bounded cache in front of the store.

A cached lookup costs a dictionary access. Every write through the same store is seen at the very
next lookup (the store's ``generation`` is compared each time). Writes of other processes, for
example of ``directory import`` beside a running node, are seen after
:meth:`DirectoryView.refresh`, which a running node calls every few seconds; each lookup that is
not cached refreshes as well.

Unknown home community ids are remembered too, so that a stranger's flood does not reach the
database; the cache is bounded and forgets the entry that was not used for longest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from directory.hierarchy import managing_organization
from directory.model import Organization, Pin
from directory.store import DirectoryStore

T = TypeVar("T")
_CAPACITY = 20_000
_MAX_KEY = 300


class DirectoryView:
    """One state of the directory; safe for several threads.

    Attributes:
        version: names the state that the cached answers come from.
    """

    def __init__(self, store: DirectoryStore, *, capacity: int = _CAPACITY) -> None:
        self._store = store
        self._capacity = capacity
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, ...], object] = OrderedDict()
        self._generation = store.generation
        self._version = store.version()

    @property
    def version(self) -> str:
        """Names the state; it is written into every ledger entry."""
        if self._generation != self._store.generation:
            self.refresh()
        return self._version

    def refresh(self) -> bool:
        """Look whether the directory has changed, and forget everything if so."""
        generation = self._store.generation
        return self._move(generation, self._store.version())

    def by_home_community_id(self, hcid: str) -> Organization | None:
        """The organisation with an HCID, or ``None``; the store says which of several."""
        return next(iter(self.all_by_home_community_id(hcid)), None)

    def all_by_home_community_id(self, hcid: str) -> tuple[Organization, ...]:
        """All organisations with an HCID, the best one first."""
        return self._look("hcid", hcid, self._store.by_home_community_id)

    def by_id(self, identity: str) -> Organization | None:
        """The organisation with a directory id, or ``None``."""
        return self._look("id", identity, self._store.by_id)

    def by_host(self, host: str) -> tuple[Organization, ...]:
        """Organisations with an endpoint on a host."""
        return self._look("host", host, self._store.by_host)

    def pins(self, organization_id: str) -> tuple[Pin, ...]:
        """The keys tied to an organisation."""
        return self._look("pins", organization_id, self._store.local.pins)

    def managing_organization(self, organization: Organization) -> Organization | None:
        """The organisation that manages another; see ``directory.hierarchy``.

        Thousands of entries have one manager: it is looked up once for all of them.
        """
        return managing_organization(organization, self.by_id)

    def responders(self, transaction: str, purpose: str | None = None) -> tuple[Organization, ...]:
        """Active, not suspended organisations that answer a transaction (for a purpose), by id."""
        found = self._look("responders", transaction, self._store.responders)
        if purpose is None:
            return found
        return tuple(o for o in found if purpose in o.responds(transaction))

    def _look(self, kind: str, key: str, load: Callable[[str], T]) -> T:
        if self._generation != self._store.generation:
            self.refresh()
        if len(key) > _MAX_KEY:  # no id is that long: nothing to find, nothing to remember
            return load(key[:_MAX_KEY])
        place = (kind, key)
        with self._lock:
            if place in self._cache:
                self._cache.move_to_end(place)
                return cast("T", self._cache[place])
        generation = self._store.generation
        self._move(generation, self._store.version())
        before = self._version
        found = load(key)
        # what was read while somebody wrote may be of either state: hand it out, do not keep it
        after = self._store.version()
        if not self._move(self._store.generation, after) and before == after:
            with self._lock:
                self._cache[place] = found
                while len(self._cache) > self._capacity:
                    self._cache.popitem(last=False)
        return found

    def _move(self, generation: int, version: str) -> bool:
        """Go to a state; returns whether it is another one than before."""
        with self._lock:
            moved = version != self._version
            if moved:
                self._cache.clear()
                self._version = version
            self._generation = generation
            return moved
