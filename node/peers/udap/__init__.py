"""Our side as a UDAP client: discover, register once for a community and purpose, keep tokens."""
