"""The clinician's pages: one search of the whole network, and each organization's answer in words.

``/records`` asks, ``/records/{token}`` shows what came. A request lives in this process alone, for
``requests.LIFETIME``; its token is random and says nothing of the patient. What every page builds
on (frozen values, ``request``)::

    asked = clinic.requests.of(visit.user.login, token, visit.now)
                                        # None: unknown, too old, or somebody else's, all the same
    asked.principal, asked.exchange_id  # who asks and why; the exchange that further legs join
    asked.demographics, asked.patient   # whom about; our own record's id, where there is one
    asked.legs                          # one per organization, by ``leg.number`` (never reused)
    asked.leg(3).state, .code           # how it stands there; its address is .../legs/3
    asked.identities                    # whom the organizations know, and what the person said
    asked.documents                     # what they named, in the order in which it came
    document.number                     # its place in addresses, never reused
    document.ref, document.patient_id   # for ``clinic.network.initiator.retrieve``
    document.entry                      # the metadata as the organization gave it
    document.held                       # HELD_BACK ones are counted and not opened; HIDDEN ones
                                        # are of somebody else, by the person's answer

``clinic`` is ``visit.console.clinic``. ``clinic.network`` is ``None`` in a process that
asks nobody. ``door.opened(visit)`` gives the request, or the page
that says why it does not open; ``beginning.go_on`` asks for one that was barred.
"""
