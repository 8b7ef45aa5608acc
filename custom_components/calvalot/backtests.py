"""Backtests in Home Assistant: one at a time, each in a process of its own, kept with what they came to."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
import json
import os
from pathlib import Path
from typing import Any, Final

from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .backtest_spec import ALL, async_spec
from .const import BACKTEST_FINISHED, DOMAIN, LOGGER
from .coordinator import CalvalotConfigEntry
from .python_strategies import strategies_folder
from .trading.apart import command, search_path
from .trading.backtest.errors import BacktestError
from .trading.backtest.fetch import fetch, spans_of, store_at, symbols_of
from .trading.backtest.job import problem
from .trading.backtest.kept import Kept, Run, State, begun, summed_up
from .trading.backtest.spec import Spec, prepare
from .trading.errors import CommandError, ExchangeError
from .trading.market.candles import TimeFrame
from .trading.market.store import CandleStore
from .trading.responses import Json
from .trading.signal import SourceKind
from .trading.strategies.document import InvalidStrategy
from .trading.strategies.library import READY_MADE, own_files

# Seconds that a process may take to end when it is asked to.
PATIENCE: Final = 0.5
# Days that are tested where nothing is said.
USUAL_DAYS: Final = 365


def backtests_folder(hass: HomeAssistant) -> Path:
    """Where backtests are kept."""
    return Path(hass.config.path(DOMAIN, "backtests"))


class Backtests:
    """The backtests of this Home Assistant."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Nothing runs yet."""
        self.kept = Kept(backtests_folder(hass))
        self._hass = hass
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._aborted = False
        self._starting = asyncio.Lock()
        self._store: CandleStore = store_at(Path(hass.config.path(".cache", DOMAIN, "backtests.db")))

    async def async_recover(self) -> None:
        """Say of what was cut off with the last run of Home Assistant that it was."""
        now = dt_util.utcnow().isoformat(timespec="milliseconds")
        for run in await self._hass.async_add_executor_job(self.kept.recover, now):
            LOGGER.warning("The backtest %s was interrupted when Home Assistant ended", run.name)
            self._tell(run)

    async def async_runs(self) -> list[Run]:
        """All of them, the latest first, that at work as it is now."""
        runs = await self._hass.async_add_executor_job(self.kept.runs)
        current = self._run
        return [current if current and run.id == current.id else run for run in runs]

    async def async_run(self, run_id: str) -> Run:
        """One of them as it is now. Raises CommandError."""
        run = await self._hass.async_add_executor_job(self.kept.run, run_id)
        current = self._run
        if run is None:
            raise CommandError("backtest_unknown")
        return current if current and current.id == run_id else run

    async def async_choices(self, entry: CalvalotConfigEntry) -> Json:
        """What a backtest of a portfolio may be made of: strategies by name, time frames, and what it is kept in."""
        files = await self._hass.async_add_executor_job(own_files, strategies_folder(self._hass))
        return {
            "ready_made": [*READY_MADE],
            "files": [*files],
            "sources": _sources(entry),
            "time_frames": [frame.value for frame in TimeFrame],
            "quote": entry.runtime_data.settings.quote,
        }

    async def async_begin(self, entry: CalvalotConfigEntry, data: Mapping[str, Any]) -> Run:
        """Begin a backtest, or have the one that was made of the same before. Raises CommandError."""
        async with self._starting:
            if self._run is not None:
                raise CommandError("backtest_running", name=self._run.name)
            spec = await async_spec(self._hass, entry, data)
            run = begun(spec, data.get("name", ""), entry.entry_id, dt_util.utcnow())
            known = await self._hass.async_add_executor_job(self.kept.run, run.id)
            if known and known.state is State.DONE:
                return known
            await self._async_write(run)
            self._run, self._aborted = run, False
            self._task = self._hass.async_create_background_task(
                self._async_work(run, spec, entry), f"{DOMAIN} backtest", eager_start=False
            )
            return run

    async def async_abort(self, run_id: str | None = None) -> Run:
        """End the one that runs; it is over when this comes back. Raises CommandError where none does, or not that one."""
        run, task = self._run, self._task
        if run is None or task is None or run_id not in {None, run.id}:
            raise CommandError("backtest_not_running")
        self._aborted = True
        task.cancel()
        await asyncio.wait([task])
        if self._run is not None:  # it was just about to say how it ended
            await self._async_end(self._over(State.ABORTED))
        return await self._hass.async_add_executor_job(self.kept.run, run.id) or run

    async def async_delete(self, run_id: str) -> None:
        """Delete one that is over. Raises CommandError."""
        if self._run and self._run.id == run_id:
            raise CommandError("backtest_running", name=self._run.name)
        if not await self._hass.async_add_executor_job(self.kept.delete, run_id):
            raise CommandError("backtest_unknown")

    async def async_rename(self, run_id: str, name: str) -> Run:
        """Give one that is over another name. Raises CommandError."""
        run = await self._hass.async_add_executor_job(self.kept.run, run_id)
        if run is None or (self._run and self._run.id == run_id):
            raise CommandError("backtest_unknown")
        run = replace(run, name=name)
        await self._async_write(run)
        return run

    async def async_stop(self, _event: Event) -> None:
        """End the process with Home Assistant; the next start says so."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    # Inside

    async def _async_write(self, run: Run) -> None:
        """Write a run down. Raises CommandError."""
        try:
            await self._hass.async_add_executor_job(self.kept.write, run)
        except OSError as err:
            raise CommandError("backtest_disk", error=err.strerror or type(err).__name__) from err

    async def _async_work(self, run: Run, spec: Spec, entry: CalvalotConfigEntry) -> None:
        """Load, run, and say what came of it."""
        ended: Run | None = None
        try:
            ended = await self._async_run(run, spec, entry)
        except asyncio.CancelledError:
            await self._async_kill()
            if not self._aborted:
                raise
            ended = self._over(State.ABORTED)
        except BacktestError as err:
            ended = self._over(State.FAILED, problem(f"{err}", err.key, err.placeholders))
        except InvalidStrategy as err:
            ended = self._over(State.FAILED, problem(f"{err}", f"strategy_{err.key}", err.placeholders))
        except ExchangeError as err:
            said = {"coin": ", ".join(spec.coins), "error": f"{err}"}
            ended = self._over(State.FAILED, problem(f"{err}", "no_candles", said))
        except OSError as err:
            reason = err.strerror or type(err).__name__
            ended = self._over(State.FAILED, problem(reason, "backtest_disk", {"error": reason}))
        finally:
            self._process = None
            if ended is None:
                self._run = None
        await self._async_end(ended)

    async def _async_end(self, ended: Run) -> None:
        """Write down how one ended, and tell it."""
        try:
            await self._hass.async_add_executor_job(self.kept.close, ended)
        except OSError as err:
            LOGGER.error("The backtest %s cannot be kept: %s", ended.name, err.strerror)
        self._run = self._task = None
        self._tell(ended)

    async def _async_run(self, run: Run, spec: Spec, entry: CalvalotConfigEntry) -> Run:
        """One that has just been written down, to its end. Raises BacktestError, InvalidStrategy, ExchangeError, OSError."""
        prepared = await self._hass.async_add_executor_job(lambda: prepare(spec, warm_up_factor=2))
        spans = spans_of(spec.frame, prepared.first, spec.inside, prepared.setup.begin, spec.end)
        market = entry.runtime_data.market

        async def loaded(done: float) -> None:
            self._note(progress=round(done, 4))

        symbols = symbols_of(spec.coins, spec.quote)
        await fetch(market.exchange, self._store, market.host, symbols, spans, loaded)
        self._note(state=State.RUNNING, progress=0.0)
        if self._run:
            await self._hass.async_add_executor_job(self.kept.write, self._run)
        path = self.kept.result_path(run.id)
        if failure := await self._async_process(spec, path):
            return self._over(State.FAILED, failure)
        result = await self._hass.async_add_executor_job(self.kept.result, run.id)
        if result is None or self._run is None:
            return self._over(State.FAILED, problem("the result cannot be read", "backtest_killed"))
        return summed_up(self._run, result, dt_util.utcnow())

    async def _async_process(self, spec: Spec, path: Path) -> Json | None:
        """Let the process work; why it has no result, None where it has."""
        process = self._process = await asyncio.create_subprocess_exec(
            *command("backtest.job", str(path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **search_path()},
        )
        assert process.stdin  # noqa: S101  # it has been asked for
        assert process.stdout  # noqa: S101
        process.stdin.write(json.dumps(spec.to_json()).encode())
        process.stdin.close()
        last, failure, done = "", None, False
        async for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            try:
                told: Json = json.loads(line)
            except ValueError:
                last = line or last
                continue
            failure, done = told.get("problem"), told.get("done", False)
            if "progress" in told:
                self._note(progress=told["progress"], orders=told["orders"], left=told["left"])
        code = await process.wait()
        if done or failure:
            return failure
        LOGGER.error("The process of a backtest ended with %s: %s", code, last)
        return problem(f"its process ended with {code}", "backtest_killed")

    async def _async_kill(self) -> None:
        """End the process, gently first."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _note(self, **changes: Any) -> None:
        if self._run:
            self._run = replace(self._run, **changes)

    def _over(self, state: State, failure: Json | None = None) -> Run:
        assert self._run  # noqa: S101  # it is this one
        ended = dt_util.utcnow().isoformat(timespec="milliseconds")
        return replace(self._run, state=state, ended=ended, left=None, problem=failure)

    @callback
    def _tell(self, run: Run) -> None:
        async_dispatcher_send(self._hass, BACKTEST_FINISHED, run)


KEY: Final[HassKey[Backtests]] = HassKey(f"{DOMAIN}_backtests")


@callback
def async_backtests(hass: HomeAssistant) -> Backtests:
    """The backtests of this Home Assistant."""
    if KEY not in hass.data:
        found = hass.data[KEY] = Backtests(hass)
        hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, found.async_stop)
    return hass.data[KEY]


def _sources(entry: CalvalotConfigEntry) -> list[Json]:
    """The sources of a portfolio that may be tested, the blend of all of them last."""
    names = {key: subentry.title for key, subentry in entry.subentries.items()}
    members = entry.runtime_data.engine.members
    found: list[Json] = [
        {"source": state.key, "kind": state.source.kind.value, "name": names.get(state.key, "")}
        for state in members
        if state.source.kind is not SourceKind.MANUAL
    ]
    return [*found, {"source": ALL, "kind": "", "name": ""}] if len(found) > 1 else found
