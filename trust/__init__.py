"""Who is speaking, and may they: keys, certificates, TLS, XML signatures, SAML assertions.

This package imports nothing of ours. Its verification parts are pure: bytes and ``now`` in, values
out.
"""
