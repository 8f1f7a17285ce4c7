"""The hashing methods, one file each."""

from __future__ import annotations

from terrahash.errors import InputError
from terrahash.learning.methods.base import Method, Variant
from terrahash.learning.methods.dhcl import DHCL

METHODS: dict[str, type[Method]] = {method.name: method for method in (DHCL,)}


def make_method(name: str, variant: Variant = "corrected") -> Method:
    """A method with its default numbers.

    Raises:
        InputError: if there is no method or variant of that name.
    """
    if name not in METHODS:
        raise InputError(f"unknown method '{name}'", f"choose one of: {', '.join(METHODS)}")
    if variant not in ("corrected", "published"):
        raise InputError(f"unknown variant '{variant}'", "choose corrected or published")
    return METHODS[name](variant=variant)


__all__ = ["METHODS", "Method", "make_method"]
