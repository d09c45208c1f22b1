"""Live support for the shop: rooms to chat in, who is there and who types, orders as they come in."""
