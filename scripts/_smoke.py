"""Run pytest with the test plugin on a newer Home Assistant than the plugin was made for."""

import sys

# Before anything that imports httpx, which it replaces.
import homeassistant  # noqa: F401
from homeassistant.components import logger
import pytest

# The plugin for 2026.10 looks for it here; 2026.11 has it in a module of its own.
if not hasattr(logger, "_clear_logger_overwrites"):
    from homeassistant.components.logger.helpers import _clear_logger_overwrites

    logger._clear_logger_overwrites = _clear_logger_overwrites  # noqa: SLF001

sys.exit(pytest.main(sys.argv[1:]))
