"""All that an object of the module holds, for tests of what is left behind."""

import collections

from sse import Sse


def held(owner):
    """The items of `owner`, and of all containers in it; not those of an `Sse`."""
    seen, found, todo = set(), [], [vars(owner)]
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            parts = list(item.keys()) + list(item.values())
        elif isinstance(item, (list, tuple, set, frozenset, collections.deque)):
            parts = list(item)
        elif type(item).__module__ == "sse" and not isinstance(item, Sse):
            parts = list(getattr(item, "__dict__", {}).values())
        else:
            parts = []
        found.extend(parts)
        todo.extend(parts)
    return found
