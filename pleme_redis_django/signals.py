"""Every Django signal of the package, with its payload.

Sent with ``send_robust``: a receiver that raises is logged and changes nothing.
"""

from __future__ import annotations
