"""The Dialect of PostgreSQL, which is this module: each operation comes from the one that owns its statement."""

from __future__ import annotations

from pleme_redis_django.orm_store.dialects.dialect import LimitStatements
from pleme_redis_django.orm_store.dialects.postgresql import flow_limits
from pleme_redis_django.orm_store.dialects.postgresql.claims import claim as claim
from pleme_redis_django.orm_store.dialects.postgresql.completion import complete as complete
from pleme_redis_django.orm_store.dialects.postgresql.fair_claim import claim_shares as claim_shares
from pleme_redis_django.orm_store.dialects.postgresql.flow_lines import let_next as let_next
from pleme_redis_django.orm_store.dialects.postgresql.flow_lines import open_lines as open_lines
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import add_token_gates as add_token_gates
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import give_tokens_back as give_tokens_back
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import let_through as let_through
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import park_for_tokens as park_for_tokens
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import take_tokens as take_tokens
from pleme_redis_django.orm_store.dialects.postgresql.flow_tokens import (
    wake_forgotten_tokens as wake_forgotten_tokens,
)
from pleme_redis_django.orm_store.dialects.postgresql.insertion import insert as insert
from pleme_redis_django.orm_store.dialects.postgresql.lock_holders import locked_jobs as locked_jobs
from pleme_redis_django.orm_store.dialects.postgresql.oldest_snapshot import (
    oldest_snapshot as oldest_snapshot,
)
from pleme_redis_django.orm_store.dialects.postgresql.ready_jobs import is_ready as is_ready
from pleme_redis_django.orm_store.dialects.postgresql.ready_strands import ready_strands as ready_strands
from pleme_redis_django.orm_store.dialects.postgresql.refusals import refusal as refusal
from pleme_redis_django.orm_store.dialects.postgresql.shared_locks import kept_waiting as kept_waiting
from pleme_redis_django.orm_store.dialects.postgresql.table_storage import table_storage
from pleme_redis_django.orm_store.dialects.postgresql.together import prepared_updates as prepared_updates

limits: LimitStatements = flow_limits
storage = table_storage
