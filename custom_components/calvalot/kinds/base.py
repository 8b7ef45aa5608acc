"""What the flows, entities and the coordinator need to know of a kind of source."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from homeassistant.core import HomeAssistant
import voluptuous as vol

from ..actions import Action
from ..trading.settings import Scope
from ..trading.signal import Signal, SourceKind
from ..trading.sources.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What a source's form is stored as: what connects in the entry's data, what may be tuned in its options.

    What was `made` is shown to be copied, once: it cannot be read from what is stored. `portfolio` is what connects the
    portfolio, where a source's own fields stand beside it, and `leader_id` what it is called where it leads.
    """

    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    made: Mapping[str, str] = field(default_factory=dict[str, str])
    portfolio: Mapping[str, Any] = field(default_factory=dict[str, Any])
    leader_id: str = ""


class SourceType(ABC):
    """One kind of source; its step in the config flow is named like it.

    `secrets` are those of its fields that a form never shows. `hidden` are options that mean nothing to it, `scopes` what may
    belong to a portfolio with it. One that is `alone` decides
    alone: it stands beside no other source. One that is `remote` can be lost and come back.
    """

    kind: ClassVar[SourceKind]
    secrets: ClassVar[tuple[str, ...]] = ()
    hidden: ClassVar[frozenset[str]] = frozenset()
    scopes: ClassVar[tuple[Scope, ...]] = (Scope.BUDGET,)
    alone: ClassVar[bool] = False
    remote: ClassVar[bool] = False

    @abstractmethod
    def form(self, *, stored: bool, found: Collection[str] = ()) -> vol.Schema:
        """Form of its step; `stored`: an entry has it already. `found` is what there is to choose from."""

    async def found(self, hass: HomeAssistant, options: Mapping[str, Any]) -> Collection[str]:  # noqa: ARG002
        """What there is to choose from, with what is chosen already."""
        return ()

    @abstractmethod
    async def check(self, hass: HomeAssistant, known: Fields, user_input: Mapping[str, Any]) -> Fields:
        """What was put in, checked and as it is stored; `known` is what is stored already. Raises InvalidInput."""

    @abstractmethod
    def build(self, hass: HomeAssistant, stored: Fields, version: str) -> Source:
        """The source that is stored. Raises InvalidSettings."""

    @abstractmethod
    async def name(self, hass: HomeAssistant, data: Mapping[str, Any]) -> str:
        """What a portfolio with this source is called, in Home Assistant's language."""

    @abstractmethod
    async def first_signal(self, hass: HomeAssistant, stored: Fields, coins: Collection[str]) -> Signal | None:
        """What a new portfolio would take up at once. Raises SourceError, InvalidSignal."""

    def address(self, data: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """URL that the source is asked at; None for one in the house."""
        return None

    def identity(self, data: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """What two live portfolios on one account must not have in common; None where they may have everything."""
        return None

    def coins(self, options: Mapping[str, Any]) -> tuple[str, ...] | None:  # noqa: ARG002
        """Coins that its own fields name; None where the owner chooses them with the budget."""
        return None

    def actions(self) -> tuple[Action, ...]:
        """Actions of its own."""
        return ()

    def shown(self, stored: Fields) -> Mapping[str, Any]:
        """What its form shows of what is stored, without secrets."""
        fields = {str(marker) for marker in self.form(stored=True).schema} - {*self.secrets}
        return {key: value for key, value in {**stored.data, **stored.options}.items() if key in fields}
