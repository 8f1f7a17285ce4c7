"""The hashing methods, one file each."""

from __future__ import annotations

from terrahash.errors import InputError
from terrahash.learning.methods.ahcl import ADSH, AHCL
from terrahash.learning.methods.base import Method, Variant
from terrahash.learning.methods.csq import CSQ
from terrahash.learning.methods.dhcl import DHCL
from terrahash.learning.methods.dpsh import DPSH
from terrahash.learning.methods.greedyhash import GreedyHash
from terrahash.learning.methods.hashnet import HashNet
from terrahash.learning.methods.hpsh import HPSH
from terrahash.learning.methods.itq import ITQ
from terrahash.learning.methods.lsh import LSH
from terrahash.learning.methods.mhcln import MHCLN
from terrahash.learning.methods.orthohash import OrthoHash

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        DHCL,
        MHCLN,
        HPSH,
        AHCL,
        ADSH,
        DPSH,
        HashNet,
        GreedyHash,
        CSQ,
        OrthoHash,
        ITQ,
        LSH,
    )
}


def make_method(name: str, variant: Variant = "corrected") -> Method:
    """A method with its default numbers.

    Raises:
        InputError: if there is no method or variant of that name.
    """
    if name not in METHODS:
        raise InputError(f"unknown method '{name}'", f"choose one of: {', '.join(METHODS)}")
    method = METHODS[name]
    if variant == "corrected":
        return method()
    if variant != "published":
        raise InputError(f"unknown variant '{variant}'", "choose corrected or published")
    if not method.published_switches:
        raise InputError(
            f"{method.title} has no published variant: nothing in it had to be corrected",
            "leave out the variant",
        )
    return method.published()


__all__ = ["METHODS", "Method", "Variant", "make_method"]
