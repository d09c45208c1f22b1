"""The Dialect of PostgreSQL, which is this module: each operation comes from the one that owns its statement."""

from __future__ import annotations

from pleme_redis_django.orm_store.dialects.dialect import LimitStatements
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.dialects.postgresql.claims import claim
from pleme_redis_django.orm_store.dialects.postgresql.completion import complete
from pleme_redis_django.orm_store.dialects.postgresql.fair_claim import claim_shares
from pleme_redis_django.orm_store.dialects.postgresql.flow_lines import let_next, open_lines
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import (
    add_token_gates,
    give_tokens_back,
    let_through,
    park_for_tokens,
    take_tokens,
    wake_forgotten_tokens,
)
from pleme_redis_django.orm_store.dialects.postgresql.insertion import insert
from pleme_redis_django.orm_store.dialects.postgresql.lock_holders import locked_jobs
from pleme_redis_django.orm_store.dialects.postgresql.oldest_snapshot import oldest_snapshot
from pleme_redis_django.orm_store.dialects.postgresql.ready_jobs import is_ready
from pleme_redis_django.orm_store.dialects.postgresql.ready_strands import ready_strands
from pleme_redis_django.orm_store.dialects.postgresql.refusals import refusal
from pleme_redis_django.orm_store.dialects.postgresql.shared_locks import kept_waiting
from pleme_redis_django.orm_store.dialects.postgresql.table_storage import table_storage as storage
from pleme_redis_django.orm_store.dialects.postgresql.together import prepared_updates

__all__ = [
    "add_token_gates",
    "claim",
    "claim_shares",
    "complete",
    "give_tokens_back",
    "insert",
    "is_ready",
    "kept_waiting",
    "let_next",
    "let_through",
    "limits",
    "locked_jobs",
    "oldest_snapshot",
    "open_lines",
    "park_for_tokens",
    "prepared_updates",
    "ready_strands",
    "refusal",
    "storage",
    "take_tokens",
    "wake_forgotten_tokens",
]

limits: LimitStatements = flow_limits
