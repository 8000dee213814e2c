"""The log's formats and proofs, byte for byte as C2SP writes them; pure.

Sources: facts tamper-evident-log C2 and C3 (C2SP signed-note, tlog-tiles, tlog-checkpoint,
tlog-cosignature, tlog-proof, tlog-policy; RFC 6962 hashing). Nothing here touches a socket, a
clock or a disk: a verifier needs these modules and the bytes, no more.
"""
