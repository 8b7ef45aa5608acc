"""What the demo takes for an error in the log of Home Assistant."""

from harness.home import errors_in

LEFT_BEHIND = """\
2026-11-21 16:20:01.123 ERROR (MainThread) [homeassistant] Error doing job: ClientConnectionResetError exception in shielded future (None)
Traceback (most recent call last):
  File "web_protocol.py", line 553, in _handle_request
    await resp.write_eof()
aiohttp.client_exceptions.ClientConnectionResetError: Cannot write to closing transport
"""
WARNING = "2026-11-21 16:20:02.000 WARNING (MainThread) [homeassistant.loader] We found a custom integration\n"
GONE = """\
2026-11-27 18:13:13.162 ERROR (MainThread) [homeassistant] Error doing job: Task exception was never retrieved (task: None)
Traceback (most recent call last):
  File "aiohttp/_websocket/writer.py", line 158, in _write_websocket_frame
    raise ClientConnectionResetError("Cannot write to closing transport")
aiohttp.client_exceptions.ClientConnectionResetError: Cannot write to closing transport
"""
NOT_LAID_OUT = """\
2026-11-27 16:27:58.818 ERROR (MainThread) [frontend.js.modern.202609305] Uncaught error from Chrome 156.0.0.0 on Linux
TypeError: this._virtualizerElement.scrollToIndex is not a function
_focusList (src/components/chips/ha-filter-chip.ts:12:3)
"""
BROKEN = """\
2026-11-21 16:20:03.000 ERROR (MainThread) [custom_components.calvalot] The cycle broke
Traceback (most recent call last):
  File "cycle.py", line 1, in cycle
KeyError: 'BTC'
"""
CONNECTION = (
    "2026-11-21 16:20:04.000 ERROR (MainThread) [homeassistant.components.websocket_api.http.connection] [139] "
)
MISTAKES = (
    f"{CONNECTION}More than the cash of 12.50 EUR cannot be taken out\n"
    f"{CONNECTION}Error handling message: Unauthorized (unauthorized) from 127.0.0.1\n"
)
FAILURES = (
    f"{CONNECTION}Error during service call to calvalot.sync: the ledger failed\n"
    f"{CONNECTION}Error handling message: Unknown error (unknown_error) from 127.0.0.1\n"
)


def test_mistakes() -> None:
    """What somebody asked for in vain is no error; a failure is one."""
    assert errors_in(MISTAKES) == []
    assert errors_in(MISTAKES + FAILURES) == FAILURES.splitlines()


def test_errors() -> None:
    """Errors and traces are found; what a browser leaves behind is none, and hides none."""
    assert errors_in(WARNING + LEFT_BEHIND + WARNING) == []
    assert errors_in(WARNING + GONE + NOT_LAID_OUT + WARNING) == []
    broken = GONE.replace("aiohttp.client_exceptions.ClientConnectionResetError", "KeyError")
    assert errors_in(GONE + broken + GONE) == [*broken.splitlines()[:2], broken.splitlines()[-1]]
    own = NOT_LAID_OUT.replace("scrollToIndex", "show")
    assert errors_in(NOT_LAID_OUT + own) == own.splitlines()[:2]
    found = BROKEN.splitlines()
    assert errors_in(LEFT_BEHIND + BROKEN + WARNING) == errors_in(BROKEN + LEFT_BEHIND) == [*found[:2], found[3]]
