"""The machine instructions that numba does not offer, at the width that a kernel asks for.

Numba widens all whole numbers to 64 bits, which would halve or quarter the codes that fit a vector
register. These keep the type of their first argument, or take its width in bits as a constant.
"""

# Numba's decorators and types carry no annotations, so functions for the compiler have none.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc"

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

_UNSIGNED = {8: types.uint8, 16: types.uint16, 32: types.uint32, 64: types.uint64}


def _unsigned(width: Any) -> Any:
    return _UNSIGNED[width.literal_value] if isinstance(width, types.IntegerLiteral) else None


def _load(_context, _address, _index, _width):
    """The ``index``-th word of ``width`` bits from an address, aligned or not."""
    word = _unsigned(_width)
    if word is None:
        return None

    def emit(context, builder, _signature, arguments):
        pointer = builder.inttoptr(arguments[0], context.get_value_type(word).as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]), align=1)

    return word(types.int64, types.int64, _width), emit


def _store(_context, _address, _index, _value):
    """Write an int64 as the ``index``-th from an address."""

    def emit(context, builder, _signature, arguments):
        pointer_type = context.get_value_type(types.int64).as_pointer()
        pointer = builder.gep(builder.inttoptr(arguments[0], pointer_type), [arguments[1]])
        builder.store(arguments[2], pointer)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


def _constant(_context, _value, _width):
    """A whole number of ``width`` bits, cut off to them: -1 is the largest."""
    word = _unsigned(_width)
    if word is None or not isinstance(_value, types.IntegerLiteral):
        return None

    def emit(context, _builder, _signature, _arguments):
        return context.get_value_type(word)(_value.literal_value)

    return word(_value, _width), emit


def _popcount(_context, word):
    """The number of set bits."""

    def emit(_codegen, builder, _signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), emit


def _operation(instruction: str, doc: str) -> Any:
    def typed(_context, left, right):
        def emit(context, builder, _signature, arguments):
            wide, narrow = context.get_value_type(left), context.get_value_type(right)
            other = arguments[1]
            if wide.width > narrow.width:
                other = builder.zext(other, wide)
            elif wide.width < narrow.width:
                other = builder.trunc(other, wide)
            if instruction == "lesser":
                below = builder.icmp_unsigned("<", arguments[0], other)
                return builder.select(below, arguments[0], other)
            return getattr(builder, instruction)(arguments[0], other)

        return left(left, right), emit

    typed.__doc__ = doc
    return intrinsic(typed)


def _take_ticket(_context, _address):
    """Add 1 to the int64 at an address, atomically, and return what it was."""

    def emit(context, builder, _signature, arguments):
        pointer_type = context.get_value_type(types.int64).as_pointer()
        pointer = builder.inttoptr(arguments[0], pointer_type)
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", pointer, one, "monotonic")

    return types.int64(types.int64), emit


def _exchange_if(_context, _address, _expected, _value):
    """Write an int64 at an address if it is as expected, atomically; returns what it was."""

    def emit(context, builder, _signature, arguments):
        pointer_type = context.get_value_type(types.int64).as_pointer()
        pointer = builder.inttoptr(arguments[0], pointer_type)
        result = builder.cmpxchg(pointer, arguments[1], arguments[2], "seq_cst", "seq_cst")
        return builder.extract_value(result, 0)

    return types.int64(types.int64, types.int64, types.int64), emit


load: Any = intrinsic(prefer_literal=True)(_load)
constant: Any = intrinsic(prefer_literal=True)(_constant)
store: Any = intrinsic(_store)
popcount: Any = intrinsic(_popcount)
exchange_if: Any = intrinsic(_exchange_if)
take_ticket: Any = intrinsic(_take_ticket)
plus = _operation("add", "Sum, of the type of the first.")
minus = _operation("sub", "Difference, of the type of the first.")
times = _operation("mul", "Product, of the type of the first.")
either = _operation("or_", "Bits of both, of the type of the first.")
both = _operation("and_", "Common bits, of the type of the first.")
differing = _operation("xor", "Differing bits, of the type of the first.")
shifted = _operation("shl", "Shifted left, of the type of the first.")
lesser = _operation("lesser", "The smaller as unsigned numbers, of the type of the first.")
