"""Print what the installed Home Assistant needs to start the demo with --skip-pip, as its own manifests pin it."""

import json
from pathlib import Path

from homeassistant import components
from homeassistant.const import Platform

# What the demo's configuration names, and what Home Assistant imports beside it.
STARTED = (
    *("frontend", "config", "recorder", "history", "logbook", "automation", "mobile_app"),
    *("assist_pipeline", "hassio"),
)
# They come as C++ sources only; the demo has stand-ins for them.
WITHOUT_WHEELS = ("pymicro-vad", "pyspeex-noise")


def requirements() -> set[str]:
    """Return the requirements of all components that are started and of those they depend on."""
    folder = Path(components.__path__[0])
    waiting, seen, found = [*STARTED, *Platform], set(), set()
    while waiting:
        manifest = folder / waiting.pop() / "manifest.json"
        if manifest in seen or not manifest.exists():
            continue
        seen.add(manifest)
        content = json.loads(manifest.read_text())
        waiting += content.get("dependencies", [])
        found |= {name for name in content.get("requirements", []) if not name.startswith(WITHOUT_WHEELS)}
    return found


print(*sorted(requirements()), sep="\n")
