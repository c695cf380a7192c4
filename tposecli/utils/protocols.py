"""Objects of the caller's own that take the place of a part of the program."""

from __future__ import annotations

from typing import Any


def require_methods(what: str, thing: Any, methods: tuple[str, ...], protocol: str) -> None:
    """Check that an object can take the place of a part of the program.

    Args:
        what: The part, for the message.
        thing: The object, or a class of such objects.
        methods: How its methods are called, such as ``detect(frames)``.
        protocol: Where they are documented.

    Raises:
        TypeError: A method is missing; the message names all that are.
    """
    missing = [method for method in methods if not callable(getattr(thing, method.partition("(")[0], None))]
    if missing:
        name = thing.__name__ if isinstance(thing, type) else type(thing).__name__
        noun = "method" if len(missing) == 1 else "methods"
        raise TypeError(f"{what}: {name} has no {noun} {' and '.join(missing)}; see help({protocol})")
