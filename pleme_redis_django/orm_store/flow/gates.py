"""Gates: where jobs wait for a place, for a token or for their turn, and the text by which a row says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pleme_redis_django.models.flow_limit import LimitKind
from pleme_redis_django.models.indexes import LINE_PREFIX

# Before the gate's text: an ending makes places free, and no tokens, so that these wait in a line of their own.
TOKEN_PREFIX = "r:"  # noqa: S105 - of a rate
_LETTERS = {LimitKind.KEY: "k", LimitKind.TYPE: "t", LimitKind.QUEUE: "q", LimitKind.PRODUCT: "p"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
# What the texts of gates of keys begin with.
KEY_PREFIX = f"{_LETTERS[LimitKind.KEY]}:"


class Limited(Protocol):
    """What of a job says at which gates it counts: of a row, and of what stands for one."""

    @property
    def product(self) -> str: ...
    @property
    def job_type(self) -> str: ...
    @property
    def queue_name(self) -> str: ...
    @property
    def concurrency_key(self) -> str | None: ...
    @property
    def order_key(self) -> str | None: ...
    @property
    def cost(self) -> int: ...


# A frozen dataclass costs six times as much to make and to look up, and a claim makes one for each key.
class Gate(NamedTuple):
    """The jobs of one product, or of all together, that a limit counts together."""

    kind: LimitKind
    product: str
    """Empty: of all products together."""
    name: str
    """The stored key, the job type, the queue or the product."""

    @property
    def text(self) -> str:
        """What ``blocked_on`` holds of a job that waits here."""
        if self.kind == LimitKind.PRODUCT:
            return f"{_LETTERS[self.kind]}:{self.name}"
        return f"{_LETTERS[self.kind]}:{self.product}:{self.name}"

    @property
    def shape(self) -> str:
        """Of all gates that one statement counts in the same way."""
        return self.kind.value if self.product else f"shared {self.kind.value}"

    @property
    def limit_name(self) -> str:
        """The name of the limit that holds here."""
        return self.name.partition(":")[0] if self.kind == LimitKind.KEY else self.name


# A frozen dataclass costs several times as much to look up and to compare, and a claim asks one for each job.
class TokenGate(NamedTuple):
    """The rate of one gate: a gate's text, and the limit that says how many tokens come back."""

    gate: str
    limit_id: int

    @property
    def blocked_on(self) -> str:
        """What ``blocked_on`` says of a job that waits for a token here."""
        return f"{TOKEN_PREFIX}{self.gate}"


def line_of(product: str, order_key: str) -> str:
    """Return what ``blocked_on`` holds of a job that waits for its turn in a line."""
    return f"{LINE_PREFIX}{product}:{order_key}"


def is_line(blocked_on: str) -> bool:
    """Whether the text is that of a line."""
    return blocked_on.startswith(LINE_PREFIX)


def waits_for_token(blocked_on: str) -> bool:
    """Whether the text is that of jobs that wait for a token of a rate, and not for a place."""
    return blocked_on.startswith(TOKEN_PREFIX)


def gate_of(blocked_on: str) -> Gate | None:
    """Return the gate of a text, where jobs wait for a place or for a token; None: of a line, or of nothing known."""
    letter, _, rest = blocked_on.removeprefix(TOKEN_PREFIX).partition(":")
    kind = _KINDS.get(letter)
    if kind is None:
        return None
    if kind == LimitKind.PRODUCT:
        return Gate(kind, rest, rest)
    product, _, name = rest.partition(":")
    return Gate(kind, product, name)


def limit_names_of(job: Limited) -> Iterator[tuple[LimitKind, str, str]]:
    """Yield each kind at which a job may be limited, with the name of the limit there and that of the gate."""
    if job.concurrency_key is not None:
        yield LimitKind.KEY, job.concurrency_key.partition(":")[0], job.concurrency_key
    yield LimitKind.TYPE, job.job_type, job.job_type
    yield LimitKind.QUEUE, job.queue_name, job.queue_name
    yield LimitKind.PRODUCT, job.product, job.product
