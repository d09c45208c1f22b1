"""The websocket side: consumers, the hub of each process, the wire protocol. The only folder that imports channels.

A socket may end at any moment and without a word. Nothing here is remembered: presence expires, a client
comes back with the position that it had reached, and the log of ``redis_state`` gives it the rest.
"""
