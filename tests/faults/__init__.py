"""Faults: what the engine promises when processes, connections and servers die. An installed app, for its jobs."""
