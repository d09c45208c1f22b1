"""How many modules one can have to open, one after the other, to follow an import down to the ground."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp

PACKAGE = "pleme_redis_django"
LONGEST = 11


def test_no_chain_of_imports_is_longer_than_this() -> None:
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    # The root names the public names for type checkers: it is the door, and no floor of the house.
    modules = {name for name in graph.modules if name != PACKAGE and ".migrations" not in name}
    imports = {name: graph.find_modules_directly_imported_by(name) & modules for name in modules}
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(
        imports
    ).static_order():  # Raises CycleError where imports go in a circle.
        longest_below = max((chains[below] for below in sorted(imports[module])), key=len, default=[])
        chains[module] = [module, *longest_below]
    longest = max(chains.values(), key=len)
    assert len(longest) <= LONGEST, (
        f"{len(longest)} modules import each other in a row: {' > '.join(longest)}"
    )
