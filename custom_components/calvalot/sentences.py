"""Sentences that ask about copy trading, in every language at once: who speaks is only known once a sentence is understood.

`[…]` may be left out, `(a|b)` is a choice, `{…}` is whatever is said there; no punctuation.
"""

from typing import Final

PORTFOLIO: Final = (
    "how (is|are) my [crypto] (portfolio|investments) [doing]",
    "how is [the] copy trading [doing]",
    "what is my [crypto] portfolio worth",
    "comment (va|vont|se porte|se portent) (mon portefeuille|mes investissements) [crypto]",
    "combien vaut mon portefeuille [crypto]",
    "quel est l'état de mon portefeuille [crypto]",
)
PROFIT_TODAY: Final = (
    "how much (did i make|did i earn|did i lose|have i made|have i earned|have i lost) [with (crypto|[the] copy trading)] today",
    "how much did [the] copy trading (make|earn|lose) today",
    "what is my [crypto] profit today",
    "combien (ai-je|j'ai|est-ce que j'ai) (gagné|perdu) [avec (les cryptos|le copy trading)] aujourd'hui",
    "combien le copy trading a-t-il (gagné|perdu|rapporté) aujourd'hui",
    "quel est mon gain [crypto] (du jour|aujourd'hui)",
)
IS_PAUSED: Final = (
    "is [the] copy trading (paused|running|active)",
    "[est-ce que] le copy trading est (en pause|en marche|actif)",
    "le copy trading est-il (en pause|en marche|actif)",
)
PAUSE: Final = (
    "(pause|suspend|stop) [the] copy trading",
    "(pause|stop) copying [(the|my) leader|trades]",
    "(mets|mettre) le copy trading en pause",
    "(mets|mettre) en pause le copy trading",
    "(suspends|suspendre|arrête|arrêter) le copy trading",
    "(arrête|arrêter) de copier [(le|mon) leader]",
)
RESUME: Final = (
    "(resume|restart|unpause) [the] copy trading",
    "(resume|restart) copying [(the|my) leader|trades]",
    "start copying again",
    "(reprends|reprendre|relance|relancer) le copy trading",
    "(reprends|reprendre) la copie",
    "(recommence|recommencer) à copier [(le|mon) leader]",
)
BUY: Final = (
    "buy [the] crypto {coin} for {amount} (euro|euros)",
    "buy {amount} (euro|euros) of [the] crypto {coin}",
    "(achète|acheter) [la] crypto {coin} pour {amount} (euro|euros)",
    "(achète|acheter) [pour] {amount} (euro|euros) de [la] crypto {coin}",
)
SELL: Final = (
    "sell [the] crypto {coin} for {amount} (euro|euros)",
    "sell {amount} (euro|euros) of [the] crypto {coin}",
    "(vends|vendre) [la] crypto {coin} pour {amount} (euro|euros)",
    "(vends|vendre) [pour] {amount} (euro|euros) de [la] crypto {coin}",
)
CLOSE: Final = (
    "close (my|the) crypto position in {coin}",
    "(ferme|fermer) (ma|la) position [de la] crypto {coin}",
)
CONFIRM: Final = (
    "confirm (my|the) crypto order",
    "(confirme|confirmer) (mon ordre|l'ordre) crypto",
)
