"""The signed network list: who belongs to a network, with which endpoints and keys, as TUF says it.

The publisher's side (``workspace``, ``staging``) makes a folder of static files that any web server
or mirror may serve; the member's side (``member``) fetches it, checks it and keeps the last checked
state. What a list says once it is checked is a value (``listing.NetworkList``); checking the bytes
of one (``verify``), judging its age (``staleness``) and comparing two (``change``) are pure.

Roles, expiries and client rules: facts pki B3; TUF specification 1.0.
"""
