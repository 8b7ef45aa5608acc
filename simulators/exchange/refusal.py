"""What the exchange says when it refuses: code, HTTP status, words."""

from http import HTTPStatus

WORDS = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests queued.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1013: "Filter failure: LOT_SIZE",
    -1015: "Too many new orders.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1101: "Duplicate values for a parameter detected.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1127: "More than 24 hours between startTime and endTime.",
    -1128: "Combination of optional parameters invalid.",
    -1131: "recvWindow must be less than 60000",
    -1158: "Combination of order types is not allowed in this order list.",
    -1151: "Symbol is present multiple times in the list.",
    -2010: "Account has insufficient balance for requested action.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
}

STATUS = {
    -1000: HTTPStatus.INTERNAL_SERVER_ERROR,
    -1001: HTTPStatus.INTERNAL_SERVER_ERROR,
    -1003: HTTPStatus.TOO_MANY_REQUESTS,
    -1006: HTTPStatus.INTERNAL_SERVER_ERROR,
    -1007: HTTPStatus.GATEWAY_TIMEOUT,
    -1008: HTTPStatus.SERVICE_UNAVAILABLE,
    -1015: HTTPStatus.TOO_MANY_REQUESTS,
    -2014: HTTPStatus.UNAUTHORIZED,
    -2015: HTTPStatus.UNAUTHORIZED,
}


class RefusalError(Exception):
    """A request the exchange does not carry out."""

    def __init__(self, code: int, message: str | None = None, status: int | None = None) -> None:
        """Take words and status that usually go with the code where none are given."""
        self.code = code
        self.message = message or WORDS.get(code, "")
        self.status = int(status or STATUS.get(code, HTTPStatus.BAD_REQUEST))
        super().__init__(f"{code} {self.message}")

    @property
    def body(self) -> dict[str, object]:
        """The JSON body of the answer."""
        return {"code": self.code, "msg": self.message}


class UnknownSymbolError(RefusalError):
    """There is no such pair."""

    def __init__(self) -> None:
        """-1121."""
        super().__init__(-1121)


class FilterFailureError(RefusalError):
    """A rule of the symbol forbids the order."""

    def __init__(self, name: str) -> None:
        """-1013 with the filter's name."""
        super().__init__(-1013, f"Filter failure: {name}")
