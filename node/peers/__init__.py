"""Outbound shells: SOAP clients, connection pools, per-peer profiles."""
