"""What Kraken says when it refuses: words in a list, with HTTP status 200."""

from typing import override

from ..exchange.refusal import RefusalError

# What the matching says, in Kraken's words.
WORDS = {
    -1121: "EQuery:Unknown asset pair",
    -2010: "EOrder:Insufficient funds",
    -2011: "EOrder:Unknown order",
}


class KrakenRefusalError(RefusalError):
    """A refusal in Kraken's words."""

    def __init__(self, words: str) -> None:
        """Begin with the words; there is no number."""
        super().__init__(-1000, words)
        self.words = words

    @override
    def __str__(self) -> str:
        return self.words


def words_of(refusal: RefusalError) -> str:
    """A refusal in Kraken's words."""
    if isinstance(refusal, KrakenRefusalError):
        return refusal.words
    if "trigger immediately" in str(refusal.body):
        return "EOrder:Invalid price"
    if "Duplicate" in str(refusal.body):
        return "EGeneral:Invalid arguments:cl_ord_id"
    if "may not place" in str(refusal.body):
        return "EOrder:Trading agreement required"
    return WORDS.get(refusal.code, "EGeneral:Internal error")
