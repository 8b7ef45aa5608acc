"""Numbers of money: the constants and the roundings that all rooms share."""

from decimal import Context, Decimal

ZERO = Decimal(0)
ONE = Decimal(1)
# So many are the whole.
BASIS_POINTS = Decimal(10000)


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """Largest multiple of `step` that is not above a value (not negative); a step of 0 leaves it as it is."""
    return value // step * step if step else value  # `//` cuts the exact quotient, `/` would round it first


def round_up(value: Decimal, step: Decimal) -> Decimal:
    """Smallest multiple of `step` that is not under a value (not negative); a step of 0 leaves it as it is."""
    below = round_down(value, step)
    return below if below == value else below + step


def points_under(price: Decimal, level: Decimal) -> int:
    """How far a level is under a price, in basis points."""
    return round((ONE - level / price) * BASIS_POINTS)


def decimal_text(value: Decimal) -> str:
    """Plain decimal text, without an exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# Wide enough that no sum or product of real amounts is ever rounded; only a division is, explicitly.
EXACT = Context(prec=60)
HUNDRED = Decimal(100)
