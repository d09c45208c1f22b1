"""Everything that Redis holds: presence, typing, pub/sub, cache, locks and the wake-up hints of jobs.

The only folder that imports redis. Everything in it is keyed by product, has a TTL, and may
vanish at any moment: the durable side must be correct without it.
"""
