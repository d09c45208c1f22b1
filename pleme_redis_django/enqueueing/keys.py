"""Keys: under which concurrency key and order key a new job is stored, and what its limits count it as."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.limits import KEYS, KeyRule, accepted_by
from pleme_redis_django.jobs.definitions.options import OptionsOfUsing
from pleme_redis_django.wording import shortened


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowKeys:
    """The keys of the rows of one template: what is known of them already, and the functions that say the rest."""

    definition: JobDefinition[Any, Any]
    concurrency_key: str | None
    order_key: str | None
    key_rule: KeyRule | None
    """None: the key is known, or there is none."""
    order_rule: KeyRule | None

    def of(self, parameters: dict[str, Any]) -> tuple[str | None, str | None]:
        """Return the concurrency key and the order key of a row. Raises EnqueueError for one that is not accepted."""
        if self.key_rule is None and self.order_rule is None:
            return self.concurrency_key, self.order_key
        arguments = self.definition.decoded_parameters(parameters)
        return (
            self.concurrency_key if self.key_rule is None else self._made(self.key_rule, arguments),
            self.order_key if self.order_rule is None else self._made(self.order_rule, arguments),
        )

    @property
    def is_ordered(self) -> bool:
        return self.order_key is not None or self.order_rule is not None

    def _made(self, rule: KeyRule, arguments: Mapping[str, Any]) -> str:
        assert not isinstance(rule.key, str)
        name = self.definition.name
        try:
            result = rule.key(**self._taken_by(rule, arguments))
        except Exception as error:
            raise EnqueueError(
                f"The key function of a limit of {name} raised {type(error).__name__}: {error}. Nothing was stored. It "
                "is called with the arguments of the handler, by name."
            ) from error
        key = rule.stored(result)
        if key is None:
            raise EnqueueError(
                f"The key function of a limit of {name} returned {shortened(repr(result))}. Accepted: {KEYS}, with "
                f'"{rule.prefix}" before it where that is not there, or a whole number. Nothing was stored.'
            )
        return key

    def _taken_by(self, rule: KeyRule, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return those arguments that the function takes, with the handler's defaults for those that were not given."""
        assert not isinstance(rule.key, str)
        names, takes_any = accepted_by(rule.key)
        if takes_any:
            names = names | arguments.keys()
        taken = {name: arguments[name] for name in names & arguments.keys()}
        for name in names - arguments.keys():
            parameter = self.definition.signature.parameters.get(name)
            if parameter is not None and parameter.default is not parameter.empty:
                taken[name] = parameter.default
        return taken


def keys_of(definition: JobDefinition[Any, Any], options: OptionsOfUsing) -> RowKeys | None:
    """Return how the rows of an enqueue get their keys; None: they have none, as most."""
    limits = definition.limits
    key, order_key = options.get("concurrency_key"), options.get("order_key")
    key_rule = limits.key if key is None else None
    order_rule = limits.order if order_key is None else None
    if key_rule is not None and isinstance(key_rule.key, str):
        key, key_rule = key_rule.key, None
    if order_rule is not None and isinstance(order_rule.key, str):
        order_key, order_rule = order_rule.key, None
    if key is None and order_key is None and key_rule is None and order_rule is None:
        return None
    return RowKeys(
        definition=definition,
        concurrency_key=key,
        order_key=order_key,
        key_rule=key_rule,
        order_rule=order_rule,
    )
