"""What its owner does to an account without an order through the API."""

from datetime import UTC, datetime
from decimal import Decimal

from .control import Control
from .filters import OrderRequest
from .history import Row
from .params import Params
from .symbols import Number, text


class OutsideControl(Control):
    """What an owner does on the exchange's own pages."""

    def deposit(self, asset: str, quantity: Number, *, status: int = 1, api_key: str | None = None) -> None:
        """Something comes; only what is credited (status 1 or 6) is there."""
        amount = Decimal(quantity)
        row: Row = {"amount": text(amount), "coin": asset, "status": status, "txId": f"tx{self._number}"}
        self._written("deposit", row | {"insertTime": self.server_time, "transferType": 0}, api_key)
        if status in {1, 6}:
            self._add(asset, amount, api_key)

    def withdraw(self, asset: str, quantity: Number, *, fee: Number = "0", api_key: str | None = None) -> None:
        """Something is sent away, and the fee for that comes on top of it."""
        amount = Decimal(quantity)
        self._add(asset, -amount - Decimal(fee), api_key)
        applied = datetime.fromtimestamp(self.server_time // 1000, UTC)
        row: Row = {"amount": text(amount), "transactionFee": text(Decimal(fee)), "coin": asset, "status": 6}
        self._written("withdrawal", row | {"applyTime": f"{applied:%Y-%m-%d %H:%M:%S}"}, api_key)

    def convert(
        self, from_asset: str, quantity: Number, to_asset: str, received: Number, *, api_key: str | None = None
    ) -> None:
        """One asset becomes another."""
        self._add(from_asset, -Decimal(quantity), api_key)
        self._add(to_asset, Decimal(received), api_key)
        row: Row = {
            "quoteId": f"q{self._number}",
            "orderId": self._number,
            "orderStatus": "SUCCESS",
            "fromAsset": from_asset,
            "fromAmount": text(Decimal(quantity)),
            "toAsset": to_asset,
            "toAmount": text(Decimal(received)),
            "createTime": self.server_time,
        }
        self._written("conversion", row, api_key)

    def sweep_dust(self, asset: str, received: Number, *, api_key: str | None = None) -> None:
        """All of an asset becomes BNB."""
        amount = self.balance(asset, api_key)
        self._add(asset, -amount, api_key)
        self._add("BNB", Decimal(received), api_key)
        detail: Row = {
            "transId": self._number,
            "serviceChargeAmount": text(Decimal(received) / 50),
            "amount": text(amount),
            "operateTime": self.server_time,
            "transferedAmount": text(Decimal(received)),
            "fromAsset": asset,
        }
        self._written("dust", {"operateTime": self.server_time, "userAssetDribbletDetails": [detail]}, api_key)

    def reward(self, asset: str, quantity: Number, *, api_key: str | None = None) -> None:
        """Something is distributed."""
        self._add(asset, Decimal(quantity), api_key)
        row: Row = {"amount": text(Decimal(quantity)), "asset": asset, "divTime": self.server_time, "enInfo": "Airdrop"}
        self._written("reward", row, api_key)

    def trade_by_hand(self, symbol: str, side: str, quantity: Number, *, api_key: str | None = None) -> None:
        """A MARKET order on the exchange's own page."""
        values = f"symbol={symbol}&side={side}&type=MARKET&quantity={text(Decimal(quantity))}&newClientOrderId=web{self._number}"
        self._ticked().place(self.account(api_key), OrderRequest.read(Params(values, "")), self.server_time)

    def add_row(self, kind: str, row: Row, api_key: str | None = None) -> None:
        """A row of whatever content in the history."""
        self.account(api_key).history.add(kind, self.server_time, row)

    # Inside

    @property
    def _number(self) -> int:
        """A number that no row bears yet."""
        return 1000 + sum(len(rows) for each in {*self.accounts.values()} for rows in each.history.rows.values())

    def _add(self, asset: str, quantity: Decimal, api_key: str | None) -> None:
        balance = self.account(api_key).balances[asset]
        if balance.free + quantity < 0:
            raise ValueError(f"there is less of {asset}")
        balance.free += quantity

    def _written(self, kind: str, row: Row, api_key: str | None) -> None:
        number = self._number
        self.account(api_key).history.add(kind, self.server_time, {"id": number, "tranId": number} | row)
