"""What code and settings say of the limits of a job model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.exceptions import InvalidJobDefinition, InvalidSettings
from pleme_redis_django.jobs.definitions.limits import DeclaredLimit, Limit, Rate, declared_together
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.models import Job
from pleme_redis_django.models.flow_limit import LimitKind, LimitSource
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.flow.limits import Declared, LimitName
from pleme_redis_django.wording import did_you_mean, shortened

# The keys of the setting LIMITS, and what the names below each are the names of.
SECTIONS: Mapping[str, LimitKind] = {
    "KEYS": LimitKind.KEY,
    "TYPES": LimitKind.TYPE,
    "QUEUES": LimitKind.QUEUE,
    "PRODUCTS": LimitKind.PRODUCT,
}
_ACCEPTED = 'a dict with "KEYS", "TYPES", "QUEUES" and "PRODUCTS", each a dict of name to Limit, Rate or a list of them'


class DeclaredLimits:
    """What is declared for the jobs of a model, worked out again after a job was added."""

    def __init__(self, model: type[AbstractJob]) -> None:
        self._model = model
        self._declared: Declared = {}
        self._declared_at: int | None = None

    def current(self) -> Declared:
        """Return what is declared now; the same object while it is the same."""
        if self._declared_at != registry.changes:
            self._declared_at = registry.changes
            self._declared = declared_limits(self._model)
        return self._declared

    def known_types(self) -> frozenset[str]:
        """Return the job types of which this process would know a limit, were there still one."""
        return frozenset(definition.name for definition in registry)


def declared_limits(model: type[AbstractJob]) -> Declared:
    """Return what is declared for the jobs of a model; settings count before code."""
    # What @job declares is of the package's own model.
    of_code = {name: (one, LimitSource.CODE) for name, one in _of_code()} if model is Job else {}
    return of_code | {
        name: (one, LimitSource.SETTINGS) for name, one in limits_of_settings(get_settings().limits)
    }


def _of_code() -> Iterator[tuple[LimitName, DeclaredLimit]]:
    """Yield the declarations of code; of two that differ, which a check reports, that of the first job counts."""
    told: dict[LimitName, DeclaredLimit] = {}
    for definition in registry:
        for one in definition.limits.declared:
            told.setdefault((LimitKind(one.kind), one.name), one)
    yield from told.items()


def differing_declarations() -> Iterator[tuple[str, str, str]]:
    """Yield each name of a key with two jobs that declare it with other numbers."""
    told: dict[str, tuple[str, DeclaredLimit]] = {}
    for definition in registry:
        for one in definition.limits.declared:
            if one.kind == LimitKind.KEY:
                first, before = told.setdefault(one.name, (definition.name, one))
                if before != one:
                    yield one.name, first, definition.name


def limits_of_settings(raw: object) -> list[tuple[LimitName, DeclaredLimit]]:
    """Return what ``PLEME_REDIS["LIMITS"]`` says. Raises InvalidSettings for what is not accepted."""
    if not isinstance(raw, Mapping):
        raise InvalidSettings(f'{SETTING_NAME}["LIMITS"] is {shortened(repr(raw))}. Accepted: {_ACCEPTED}.')
    found: list[tuple[LimitName, DeclaredLimit]] = []
    for section, of_names in raw.items():
        if section not in SECTIONS:
            hint = did_you_mean(section, SECTIONS, otherwise=f"Accepted: {', '.join(SECTIONS)}.")
            raise InvalidSettings(f'{SETTING_NAME}["LIMITS"] has the unknown key {section!r}. {hint}')
        if not isinstance(of_names, Mapping):
            raise InvalidSettings(
                f'{SETTING_NAME}["LIMITS"]["{section}"] is {shortened(repr(of_names))}. Accepted: {_ACCEPTED}.'
            )
        found += [_of_setting(section, name, value) for name, value in of_names.items()]
    return found


def _of_setting(section: str, name: object, value: Any) -> tuple[LimitName, DeclaredLimit]:
    kind = SECTIONS[section]
    where = f'{SETTING_NAME}["LIMITS"]["{section}"][{shortened(repr(name))}]'
    listed = list(value) if isinstance(value, Iterable) else [value]
    if not (isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()):
        raise InvalidSettings(f"{where}: accepted as a name are 1 to 200 printable characters.")
    if kind == LimitKind.KEY and ":" in name:
        raise InvalidSettings(f"{where}: a limit is named by what stands before the first colon of a key.")
    if not listed or not all(isinstance(one, Limit | Rate) for one in listed):
        raise InvalidSettings(
            f"{where} is {shortened(repr(value))}. Accepted: a Limit, a Rate, or a list of them."
        )
    if any(one.key is not None or one.cost != 1 or getattr(one, "in_order", False) for one in listed):
        raise InvalidSettings(
            f"{where} has key=, cost= or in_order=, which are said in @job. Leave them out."
        )
    try:
        (declared,) = declared_together([(kind.value, name)] * len(listed), listed)
    except InvalidJobDefinition as error:
        raise InvalidSettings(f"{where}: {error}") from None
    return (kind, name), declared
