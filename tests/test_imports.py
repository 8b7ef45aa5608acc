"""What the integration imports: all of it is there where it runs, and the domain stands by itself."""

import ast
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
import json
from pathlib import Path
import re
import subprocess
import sys

from .alone import PACKAGE

INTEGRATION = PACKAGE.parent
# Home Assistant hands out an engine of its own under this name.
OWN_ENGINE = "voluptuous"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """What a file imports when it runs: dots in front and the module's name."""
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        match waiting.pop():
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=orelse):
                waiting += orelse
            case ast.Import(names=names):
                yield from ((0, name.name) for name in names)
            case ast.ImportFrom(module=module, level=level):
                yield level, module or ""
            case node:
                waiting += ast.iter_child_nodes(node)


def distributions(requirements: list[str]) -> set[str]:
    """Names of what is required, as the index writes them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", each)[0]).lower() for each in requirements}


def test_requirements_are_named() -> None:
    """Each package comes with Home Assistant itself, or the manifest names it; and it names no other."""
    manifest = json.loads((INTEGRATION / "manifest.json").read_text("utf-8"))
    named = distributions(manifest["requirements"])
    core = distributions(requires("homeassistant") or [])
    known = packages_distributions()
    found = {name.partition(".")[0] for path in INTEGRATION.rglob("*.py") for level, name in imports(path) if not level}
    # Whoever has a cluster has its library; it is imported where an address is given, and nowhere else.
    used = found - sys.stdlib_module_names - {"homeassistant", "distributed", OWN_ENGINE}
    assert used >= {"aiohttp", "binance", "sqlalchemy"}
    assert {name: known[name] for name in used if not distributions(known[name]) & (named | core)} == {}
    assert {each for name in used for each in distributions(known[name])} - core == named


def test_domain_imports_nothing_around_it() -> None:
    """No dot leads out of it, and nothing of Home Assistant is named."""
    outside = []
    for path in PACKAGE.rglob("*.py"):
        depth = len(path.relative_to(PACKAGE).parts)
        for level, name in imports(path):
            if level > depth or name.partition(".")[0] in {"homeassistant", "custom_components"}:
                outside.append(f"{path.name}: {'.' * level}{name}")
    assert outside == []


def test_domain_runs_without_home_assistant(tmp_path: Path) -> None:
    """Every module is imported, and a signal traded on paper, where Home Assistant cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.alone", tmp_path],
        cwd=PACKAGE.parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["modules"]) == len(list(PACKAGE.rglob("*.py")))
    assert told["held"].keys() == {"BTC", "ETH"}
