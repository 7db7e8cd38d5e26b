"""The simulator: a local stand-in for the providers' HTTP interfaces.

It imports nothing else of Penstock, since it takes the place of somebody else's server. A request
goes through `server` (sockets, faults, limits, counting), a wire in `wires` (a provider's shapes),
and `answers` (what a model would have said, computed from the prompt).
"""
