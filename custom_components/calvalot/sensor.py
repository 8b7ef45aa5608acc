"""Figures of a follower, and a set of them for each coin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, override

from homeassistant.components.sensor import (
    DOMAIN as SENSOR_DOMAIN,
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import PERCENTAGE
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import CalvalotConfigEntry, CalvalotCoordinator
from .entity import CalvalotEntity
from .forms import QUOTE_ASSETS
from .publishers.settings import publishers_of
from .trading.decimals import decimal_text
from .trading.ledger.records import Result
from .trading.snapshot import PositionFigures, Snapshot, Status
from .trading.statistics.marks import PERIODS

PARALLEL_UPDATES = 0

EUR: Final = "EUR"

type Value = Decimal | datetime | str | None


@dataclass(frozen=True, kw_only=True)
class CalvalotSensorDescription(SensorEntityDescription):
    """A sensor; `optional` says that None is an answer and not a gap.

    One `in_cents` says no more of an amount than its cents, where the quote asset is worth about a euro.
    """

    value_fn: Callable[[Snapshot], Value]
    attributes_fn: Callable[[Snapshot], dict[str, str | bool]] | None = None
    in_quote: bool = False
    in_cents: bool = False
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class FigureDescription(CalvalotSensorDescription):
    """A figure that people plot: the unit and a mean, without the device class that would forbid one."""

    state_class: SensorStateClass | None = SensorStateClass.MEASUREMENT
    suggested_display_precision: int | None = 2


def _explain_result(snapshot: Snapshot) -> dict[str, str | bool]:
    """Which signal the result is about, and why it is what it is."""
    texts = {"signal_id": snapshot.last_signal_id, "reason": snapshot.last_signal_reason}
    return {key: text for key, text in texts.items() if text}


def return_sensor(period: str) -> FigureDescription:
    """The sensor of a period's return, off by default: most look at one or two of them."""
    return FigureDescription(
        key=f"return_{period}",
        native_unit_of_measurement=PERCENTAGE,
        entity_registry_enabled_default=False,
        value_fn=lambda snapshot: snapshot.returns.get(period),
    )


SENSORS: Final[tuple[CalvalotSensorDescription, ...]] = (
    FigureDescription(
        key="total_value", native_unit_of_measurement=EUR, value_fn=lambda snapshot: snapshot.total_value
    ),
    FigureDescription(
        key="total_value_quote", in_quote=True, in_cents=True, value_fn=lambda snapshot: snapshot.total_value_quote
    ),
    FigureDescription(key="cash", in_quote=True, in_cents=True, value_fn=lambda snapshot: snapshot.cash),
    FigureDescription(
        key="positions_value",
        in_quote=True,
        in_cents=True,
        value_fn=lambda snapshot: snapshot.positions_value,
    ),
    FigureDescription(
        key="net_deposits", native_unit_of_measurement=EUR, value_fn=lambda snapshot: snapshot.net_deposits
    ),
    FigureDescription(
        key="profit_loss", native_unit_of_measurement=EUR, value_fn=lambda snapshot: snapshot.profit_loss
    ),
    FigureDescription(
        key="profit_loss_percent",
        native_unit_of_measurement=PERCENTAGE,
        value_fn=lambda snapshot: snapshot.profit_loss_percent,
    ),
    # Off by default: it changes in every cycle, and the cards and the assistants show it without a sensor.
    FigureDescription(
        key="profit_today",
        native_unit_of_measurement=EUR,
        entity_registry_enabled_default=False,
        value_fn=lambda snapshot: snapshot.profit_today,
    ),
    FigureDescription(
        key="time_weighted_return",
        native_unit_of_measurement=PERCENTAGE,
        value_fn=lambda snapshot: snapshot.time_weighted_return,
    ),
    *(return_sensor(period) for period in PERIODS),
    FigureDescription(
        key="max_drawdown", native_unit_of_measurement=PERCENTAGE, value_fn=lambda snapshot: snapshot.max_drawdown
    ),
    FigureDescription(
        key="tracking_distance",
        native_unit_of_measurement=PERCENTAGE,
        optional=True,
        value_fn=lambda snapshot: snapshot.tracking_distance,
    ),
    FigureDescription(
        key="fees_paid",
        in_quote=True,
        state_class=SensorStateClass.TOTAL,
        value_fn=lambda snapshot: snapshot.fees_paid,
    ),
    CalvalotSensorDescription(
        key="open_orders",
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda snapshot: Decimal(len(snapshot.resting) + len(snapshot.open_orders)),
    ),
    CalvalotSensorDescription(
        key="status",
        device_class=SensorDeviceClass.ENUM,
        options=list(Status),
        value_fn=lambda snapshot: snapshot.status,
    ),
    CalvalotSensorDescription(
        key="last_signal",
        device_class=SensorDeviceClass.TIMESTAMP,
        optional=True,
        value_fn=lambda snapshot: snapshot.last_signal,
    ),
    CalvalotSensorDescription(
        key="last_signal_result",
        device_class=SensorDeviceClass.ENUM,
        options=list(Result),
        optional=True,
        value_fn=lambda snapshot: snapshot.last_signal_result,
        attributes_fn=_explain_result,
    ),
    CalvalotSensorDescription(
        key="last_trade",
        device_class=SensorDeviceClass.TIMESTAMP,
        optional=True,
        value_fn=lambda snapshot: snapshot.last_trade,
    ),
)


# There while somebody may follow.
FOLLOWERS: Final = CalvalotSensorDescription(
    key="leader_followers", state_class=SensorStateClass.MEASUREMENT, value_fn=lambda _snapshot: None
)


def coin_sensors(coin: str) -> tuple[CalvalotSensorDescription, ...]:
    """Sensors of one coin."""

    def of(figure: Callable[[PositionFigures], Decimal | None]) -> Callable[[Snapshot], Value]:
        return lambda snapshot: figure(snapshot.positions[coin]) if coin in snapshot.positions else None

    def set_aside(snapshot: Snapshot) -> dict[str, str | bool]:
        return {"set_aside": any(position.coin == coin for position in snapshot.set_aside)}

    prefix = coin.lower()
    return (
        FigureDescription(
            key=f"{prefix}_value",
            translation_key="coin_value",
            in_quote=True,
            in_cents=True,
            value_fn=of(lambda position: position.value),
            attributes_fn=set_aside,
        ),
        FigureDescription(
            key=f"{prefix}_profit_loss",
            translation_key="coin_profit_loss",
            in_quote=True,
            in_cents=True,
            value_fn=of(lambda position: position.profit_loss),
        ),
        FigureDescription(
            key=f"{prefix}_quantity",
            translation_key="coin_quantity",
            native_unit_of_measurement=coin,
            suggested_display_precision=8,
            entity_registry_enabled_default=False,
            value_fn=of(lambda position: position.quantity),
        ),
        FigureDescription(
            key=f"{prefix}_entry_price",
            translation_key="coin_entry_price",
            in_quote=True,
            suggested_display_precision=4,
            entity_registry_enabled_default=False,
            optional=True,
            value_fn=of(lambda position: position.entry_price),
        ),
        FigureDescription(
            key=f"{prefix}_weight",
            translation_key="coin_weight",
            native_unit_of_measurement=PERCENTAGE,
            entity_registry_enabled_default=False,
            value_fn=of(lambda position: None if position.weight is None else 100 * position.weight),
        ),
    )


async def async_setup_entry(
    hass: HomeAssistant, entry: CalvalotConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the follower's sensors, and those of each coin for as long as it is wanted or held."""
    coordinator = entry.runtime_data
    async_add_entities(CalvalotSensor(coordinator, description) for description in SENSORS)
    coins: set[str] = set()
    leads = False

    @callback
    def follow_publishers() -> None:
        nonlocal leads
        if leads == bool(publishers_of(entry)):
            return
        leads = not leads
        if leads:
            async_add_entities([FollowersSensor(coordinator, FOLLOWERS)])
        else:
            _remove_stale_sensors(hass, coordinator)

    @callback
    def follow_coins() -> None:
        nonlocal coins
        known, coins = coins, set(coordinator.data.positions)
        if coins == known:
            return
        _remove_stale_sensors(hass, coordinator)
        async_add_entities(
            CalvalotSensor(coordinator, description, coin)
            for coin in sorted(coins - known)
            for description in coin_sensors(coin)
        )

    for follow in (follow_coins, follow_publishers):
        follow()
        entry.async_on_unload(coordinator.async_add_listener(follow))


@callback
def _remove_stale_sensors(hass: HomeAssistant, coordinator: CalvalotCoordinator) -> None:
    """Remove the sensors of coins that are neither wanted nor held any more."""
    entry_id = coordinator.config_entry.entry_id
    leads = [FOLLOWERS] if publishers_of(coordinator.config_entry) else []
    descriptions = [*SENSORS, *leads, *(sensor for coin in coordinator.data.positions for sensor in coin_sensors(coin))]
    unique_ids = {f"{entry_id}_{description.key}" for description in descriptions}
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, entry_id):
        if entity.domain == SENSOR_DOMAIN and entity.unique_id not in unique_ids:
            registry.async_remove(entity.entity_id)


def plain(value: Decimal, digits: int) -> str:
    """Plain decimal text of a rounded value, without a negative zero."""
    return decimal_text(round(value, digits) + 0)


class CalvalotSensor(CalvalotEntity, SensorEntity):
    """A figure, a time or a word; unavailable while it is a gap."""

    entity_description: CalvalotSensorDescription

    def __init__(
        self, coordinator: CalvalotCoordinator, description: CalvalotSensorDescription, coin: str = ""
    ) -> None:
        """Take the quote asset as the unit where the description asks for it."""
        super().__init__(coordinator, description)
        quote = coordinator.settings.quote
        self._attr_translation_placeholders = {"coin": coin, "quote": quote}
        if description.in_quote:
            self._attr_native_unit_of_measurement = quote

    @property
    def _digits(self) -> int:
        """Decimals of a figure: of what moves with the prices as many as are shown, or rows would be kept that nobody sees."""
        unit = self.native_unit_of_measurement
        cents = unit in {EUR, PERCENTAGE} or (self.entity_description.in_cents and unit in QUOTE_ASSETS)
        return 2 if cents else 8

    @property
    def _value(self) -> Value:
        return self.entity_description.value_fn(self.coordinator.data)

    @property
    @override
    def available(self) -> bool:
        """Return False for a figure that could not be had."""
        return super().available and (self.entity_description.optional or self._value is not None)

    @property
    @override
    def native_value(self) -> str | datetime | None:
        """Return the figure as plain decimal text, the time or the word."""
        value = self._value
        if not isinstance(value, Decimal):
            return value
        return plain(value, self._digits)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, str | bool] | None:
        """Return the few texts that explain the state."""
        explain = self.entity_description.attributes_fn
        return explain(self.coordinator.data) if explain else None


class FollowersSensor(CalvalotEntity, SensorEntity):
    """How many have asked a portfolio for its signals lately, of those who may ask over HTTP."""

    @property
    @override
    def native_value(self) -> int | None:
        """Return how many follow; none are known of those who follow over MQTT."""
        answers = self.coordinator.publishers and self.coordinator.publishers.answers
        return answers.following if answers else None

    @property
    @override
    def extra_state_attributes(self) -> dict[str, int | None] | None:
        """Return how many may ask; of those who say how far they have come, how many are up to date and how far the last is behind."""
        answers = self.coordinator.publishers and self.coordinator.publishers.answers
        if not answers:
            return None
        counted = answers.counted
        return {name: counted[name] for name in ("allowed", "told", "up_to_date", "behind")}
