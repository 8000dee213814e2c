"""Connectivity tests: where on the way to a peer it fails, and on whose side."""
