"""Settings of a node home (``node.toml``)."""
