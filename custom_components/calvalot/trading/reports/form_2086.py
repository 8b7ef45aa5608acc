"""A worksheet for the French form 2086, lines 211 to 224 (CGI, art. 150 VH bis; BOI-RPPM-PVBMC-30-20).

Only sales into euro count: crypto into crypto, stablecoins included, is not taxed. What only the owner knows is asked for, and
nothing is computed without it: the value of all that he holds anywhere at each sale (212), and what stood on the last form at
the start of the year (220, 221, 222). Euros are rounded half up, and only where they are told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from ..decimals import EXACT, ONE, ZERO
from ..exchanges.base import Side
from ..ledger.records import BookedFill

EURO = "EUR"
# Up to so much of sales in a year nothing is due (CGI, art. 150 VH bis, II B).
EXEMPT = Decimal(305)
NO_ADVICE = "Aide au remplissage, sans valeur de conseil fiscal. / A worksheet, no tax advice."


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The lines of the start of the year: 220 bought for so far, 221 fractions used up, 222 cash of former exchanges."""

    acquisition: Decimal | None = None
    fractions: Decimal | None = None
    exchanges: Decimal | None = None


def worksheet(
    fills: Iterable[BookedFill], quote: str, year: int, start: Start, values: Mapping[str, Decimal]
) -> dict[str, Any]:
    """The sales of a year with their lines; `values` holds line 212 by the sale's id. `missing` says what is still to be told."""
    orders: dict[int, list[BookedFill]] = {}
    for each in fills:
        if quote == EURO and each.fill.time.year == year:
            orders.setdefault(each.order_seq, []).append(each)
    missing = [
        line
        for line, told in (("220", start.acquisition), ("221", start.fractions), ("222", start.exchanges))
        if told is None
    ]
    bought, used = start.acquisition, start.fractions
    sales: list[dict[str, Any]] = []
    total = gained = lost = ZERO
    complete = not missing
    with localcontext(EXACT):
        for seq, order in orders.items():
            if len({each.side for each in order}) > 1:  # a coin into another one
                continue
            amount = sum((each.fill.amount for each in order), ZERO)
            if order[0].side is Side.BUY:
                bought = None if bought is None else bought + amount
                continue
            sale_id, costs = f"trade-{seq}", sum((each.fill.fee * each.fee_price for each in order), ZERO)
            value = values.get(sale_id)
            total += amount
            lines: dict[str, Any] = {
                "id": sale_id,
                "211": max(each.fill.time for each in order).date().isoformat(),
                "212": _euro(value),
                "213": _euro(amount),
                "214": _euro(costs),
                "215": _euro(amount - costs),
                "216": "0",
                "217": _euro(amount),
                "218": _euro(amount - costs),
            }
            if not value:
                missing.append(sale_id)
            net = fraction = None
            if bought is not None and used is not None and start.exchanges is not None:
                net = bought - used - start.exchanges
                lines |= {"220": _euro(bought), "221": _euro(used), "222": _euro(start.exchanges), "223": _euro(net)}
                if value:
                    fraction = net * amount / value
                    gain = amount - costs - fraction
                    lines["224"] = _euro(gain)
                    gained, lost = gained + max(gain, ZERO), lost + max(-gain, ZERO)
            # What was used up of the price is needed by the sales after it.
            used = None if used is None or fraction is None else used + fraction
            complete = complete and fraction is not None
            sales.append(lines)
    return {
        "note": NO_ADVICE,
        "year": year,
        "sales": sales,
        "missing": missing if sales else [],
        "sum_of_sales": _euro(total),
        "exempt": total <= EXEMPT,
        "result": _euro(gained - lost) if complete or not sales else None,
    }


def _euro(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.quantize(ONE, ROUND_HALF_UP, EXACT) + 0:f}"
