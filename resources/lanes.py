"""Integer arithmetic that keeps its width, for the compiled loops.

Belongs here: operators on 8, 16 and 32 bits as single machine instructions, and the compiler options that the kernels
share. Does not belong here: any loop (``arot_assets/metrics``, ``resources/models/resampling.py``). Only workers import this
module.

numba widens small integers to 64 bits with every operation; then one vector instruction handles 8 pixels instead of 32
or 64. These operators stay in the type of their operands and wrap around like the machine's: the caller proves that the
values fit. After a change here delete ``__pycache__``: numba can't see that compiled code on disk depends on this file.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, njit, types
from numpy import int16

intrinsic: Any = extending.intrinsic  # untyped: it turns a code generator into a function of numba

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "boundscheck": False, "error_model": "numpy"}


def _same_width(method: str) -> Any:
    """An operator that stays in the integer type of its two operands."""

    @intrinsic
    def operator(_context: Any, a: Any, b: Any) -> Any:
        if a != b:
            raise TypeError(f"{method}: both sides need one type, got {a} and {b}")
        return a(a, b), lambda _c, builder, _s, args: getattr(builder, method)(*args)

    return operator


add, sub, mul = _same_width("add"), _same_width("sub"), _same_width("mul")
bit_and, bit_or, bit_xor = _same_width("and_"), _same_width("or_"), _same_width("xor")
shift_left, shift_right, shift_right_signed = _same_width("shl"), _same_width("lshr"), _same_width("ashr")


@intrinsic
def ones_of(_context: Any, a: Any) -> Any:
    """The number of bits set, in the type of ``a``."""
    return a(a), lambda _c, builder, _s, args: builder.ctpop(args[0])


@intrinsic
def magnitude(_context: Any, a: Any) -> Any:
    """The absolute value, in the type of ``a``."""

    def generate(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        kind, flag = args[0].type, ir.IntType(1)
        absolute = builder.module.declare_intrinsic("llvm.abs", [kind], ir.FunctionType(kind, [kind, flag]))
        return builder.call(absolute, [args[0], flag(0)])

    return a(a), generate


@intrinsic
def high_half(_context: Any, a: Any, b: Any) -> Any:
    """``floor(a * b / 65536)`` of two int16: one vector instruction."""
    if (a, b) != (types.int16, types.int16):
        raise TypeError(f"high_half: both sides must be int16, got {a} and {b}")

    def generate(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        wide = ir.IntType(32)
        product = builder.mul(builder.sext(args[0], wide), builder.sext(args[1], wide))
        return builder.trunc(builder.ashr(product, wide(16)), ir.IntType(16))

    return a(a, b), generate


@njit(**OPTIONS)
def exceeds(a: int16, b: int16) -> int16:
    """A mask: all 16 bits when ``a > b``, else none. Both must be less than 2^15 apart."""
    return shift_right_signed(sub(b, a), int16(15))


@njit(**OPTIONS)
def choose(mask: int16, a: int16, b: int16) -> int16:
    """``a`` where the mask has its bits, else ``b``."""
    return bit_xor(b, bit_and(mask, bit_xor(a, b)))
