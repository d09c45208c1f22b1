"""How long something took and how many there are, in words, for terminals and pages."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """Return a duration of 0 or more in words, such as "2 m 5 s" or "40 ms"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # what would be rounded to 10.0 has no use for a decimal
        return f"{seconds:.1f} s"
    rest = round(seconds)
    words: list[str] = []
    for size, unit in _UNITS:
        amount, rest = divmod(rest, size)
        # "1 d 5 s" would have two units, and would not be more exact than "1 d".
        if amount or words:
            words.append(f"{amount} {unit}" if amount else "")
    return " ".join(word for word in words[:2] if word)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as "1 job", "1,200 jobs" or "2 processes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
