"""Facts in, decision out: pure functions over rules kept as data."""
