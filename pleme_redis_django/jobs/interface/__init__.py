"""The engine's interface: the protocols that others implement, and the values passed between its parts."""
