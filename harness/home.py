"""A real Home Assistant on a throw-away config folder, bound to loopback, its owner logged in."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from importlib.util import find_spec
import json
from pathlib import Path
from queue import Queue
import re
import shutil
import subprocess
import tempfile
from threading import Event, Lock, Thread
from typing import IO, Any

from websockets.sync.client import connect

from .http import ApiError, request
from .process import ROOT, child
from .waiting import wait_for

OWNER = {"name": "Demo", "username": "demo", "password": "demo"}
START_TIMEOUT = 120
# Exit code by which Home Assistant asks to be started again.
RESTART = 100
ERROR = re.compile(r"^\S+ \S+ (ERROR|CRITICAL) |^Traceback |^\w*(Error|Exception): ")
# An error with everything that is said about it.
ENTRY = re.compile(r"^\S+ \S+ (?:ERROR|CRITICAL) .*\n(?:(?!\d{4}-\d\d-\d\d ).*\n)*", re.MULTILINE)
# What Home Assistant's search for triggers says where it is typed into before its list is laid out.
NOT_LAID_OUT = "this._virtualizerElement.scrollToIndex is not a function"
# A browser that goes while it is written to: aiohttp leaves its handler or its frame behind, and Python reports that.
LEFT_BEHIND = re.compile(
    r"^\S+ \S+ ERROR .*(?:ClientConnectionResetError exception in shielded future.*"
    r"|Task exception was never retrieved.*\n(?:(?!\d{4}-\d\d-\d\d |\S+Error: ).*\n)*"
    r"aiohttp\.client_exceptions\.ClientConnectionResetError: Cannot write to closing transport"
    rf"|\[frontend\.js\..*\n.*{re.escape(NOT_LAID_OUT)})\n(?:(?!\d{{4}}-\d\d-\d\d ).*\n)*",
    re.MULTILINE,
)

# An action that Home Assistant refused, with its reason, to whoever asked for it: not an error of its own.
REFUSED = re.compile(
    r"^\S+ \S+ ERROR \(MainThread\) \[homeassistant\.components\.websocket_api\.http\.connection\] \[\d+\] "
    r"(?!Error during service call|Unexpected exception|.*\((unknown_error|timeout)\))"
)

# Silenced is what a machine without ffmpeg and libturbojpeg lacks, and nothing here needs.
CONFIGURATION = """\
homeassistant:
  name: Calv-a-lot
  country: FR
  currency: EUR
  time_zone: Europe/Paris
  language: {language}
  auth_providers:
    - type: trusted_networks
      trusted_networks: [127.0.0.1]
      allow_bypass_login: true
    - type: homeassistant
frontend:
config:
recorder:
  commit_interval: 1
history:
logbook:
automation: !include automations.yaml
mobile_app:
logger:
  default: warning
  logs:
    custom_components.calvalot: info
    haffmpeg.core: critical
    homeassistant.components.camera.img_util: critical
    homeassistant.components.ffmpeg: critical
"""

# Imported by the voice assistant, without which the frontend does not start; they come as C++ sources only, and here
# nobody speaks.
UNHEARD = {"pymicro_vad": "class MicroVad: ...\n", "pyspeex_noise": "class AudioProcessor: ...\n"}


class Home:
    """The running Home Assistant, spoken to as its owner."""

    def __init__(self, folder: Path, port: int) -> None:
        """Name a Home Assistant by its config folder and its port on loopback."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.token = ""
        self.errors: list[str] = []
        self._ended: Queue[int | None] = Queue()

    @property
    def output(self) -> Path:
        """The file that its output goes to."""
        return self.folder / "output.log"

    @property
    def client_id(self) -> str:
        """What a page of its own calls itself when somebody logs in."""
        return f"{self.url}/"

    @property
    def websocket(self) -> str:
        """The address of its WebSocket API."""
        return f"{self.url.replace('http', 'ws')}/api/websocket"

    @property
    def log(self) -> str:
        """Everything Home Assistant wrote so far."""
        return self.output.read_text(errors="replace")

    def get(self, path: str) -> Any:
        """GET a path of the REST API."""
        return request("GET", f"{self.url}/api/{path}", token=self.token)

    def post(self, path: str, body: object = None) -> Any:
        """POST JSON to a path of the REST API."""
        return request("POST", f"{self.url}/api/{path}", body or {}, token=self.token)

    def delete(self, path: str) -> Any:
        """DELETE a path of the REST API."""
        return request("DELETE", f"{self.url}/api/{path}", token=self.token)

    def action(self, name: str, **data: object) -> None:
        """Perform an action such as ``button.press`` and wait until it is done."""
        self.post(f"services/{name.replace('.', '/')}", data)

    def ask(self, name: str, **data: object) -> Any:
        """Perform an action that answers, and return the answer."""
        return self.post(f"services/{name.replace('.', '/')}?return_response", data)["service_response"]

    def state(self, entity_id: str) -> str:
        """State of an entity."""
        return str(self.get(f"states/{entity_id}")["state"])

    def commands(self, *commands: dict[str, object]) -> list[Any]:
        """Send WebSocket commands one after the other and return their results; raises ApiError."""
        results = []
        with connect(self.websocket, proxy=None, max_size=None) as socket:
            socket.recv()
            socket.send(json.dumps({"type": "auth", "access_token": self.token}))
            socket.recv()
            for number, command in enumerate(commands, start=1):
                socket.send(json.dumps({"id": number, **command}))
                answer = json.loads(socket.recv())
                if not answer["success"]:
                    raise ApiError(f"{command['type']}: {answer['error']}")
                results.append(answer["result"])
        return results

    def process(self, log: IO[bytes]) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Return its process, which writes to ``log``; on leaving it is asked to end."""
        arguments = ["-m", "homeassistant", "--config", str(self.folder), "--skip-pip"]
        return child(arguments, log, PYTHONPATH=f"{self.folder}/modules")

    def wait(self, process: subprocess.Popen[bytes], language: str) -> None:
        """Log in as soon as it answers, and wait until all is running; raises RuntimeError, TimeoutError."""

        def running() -> bool:
            if process.poll() is not None:
                raise RuntimeError("Home Assistant did not start")
            return self._is_ready(language)

        wait_for(running, "Home Assistant", patience=START_TIMEOUT)

    def endings(self) -> Iterator[int | None]:
        """Yield None each time it runs again after a restart, and last the exit code where it ended by itself."""
        while True:
            yield (code := self._ended.get())
            if code is not None:
                return

    @contextmanager
    def kept_running(self, language: str) -> Iterator[None]:
        """Run it, again whenever it asks for a restart; raises RuntimeError where it does not start."""
        starting, leaving = Lock(), Event()

        def start() -> subprocess.Popen[bytes]:
            return running.enter_context(self.process(log))

        def watch(process: subprocess.Popen[bytes]) -> None:
            while (code := process.wait()) == RESTART:
                with starting:
                    if leaving.is_set():
                        return
                    process = start()
                with suppress(RuntimeError):
                    self.wait(process, language)
                    self._ended.put(None)
            self._ended.put(code)

        with self.output.open("wb") as log, ExitStack() as running:
            process = start()
            self.wait(process, language)
            Thread(target=watch, args=(process,), daemon=True).start()
            try:
                yield
            finally:
                with starting:
                    leaving.set()

    def _is_ready(self, language: str) -> bool:
        try:
            if not self.token:
                self._log_in(language)
            return bool(self.get("config")["state"] == "RUNNING")
        except OSError, ApiError:
            return False

    def _log_in(self, language: str) -> None:
        """Make the owner's account the way the first page of a new Home Assistant does."""
        self.authorize(
            self.post("onboarding/users", {**OWNER, "client_id": self.client_id, "language": language})["auth_code"]
        )

    def authorize(self, code: str) -> None:
        """Speak to it from now on as the one whose log-in ended with this code."""
        form = {"client_id": self.client_id, "grant_type": "authorization_code", "code": code}
        self.token = request("POST", f"{self.url}/auth/token", form=form)["access_token"]


def seed(folder: Path, port: int, language: str) -> None:
    """Write what a Home Assistant has to find before its first start."""
    storage = folder / ".storage"
    storage.mkdir()
    (folder / "configuration.yaml").write_text(CONFIGURATION.format(language=language))
    (folder / "automations.yaml").write_text("[]\n")
    (folder / "custom_components").symlink_to(ROOT / "custom_components")

    modules = folder / "modules"
    modules.mkdir()
    for module, source in UNHEARD.items():
        if find_spec(module) is None:
            (modules / f"{module}.py").write_text(source)

    def store(key: str, version: int, minor_version: int, data: object) -> None:
        content = {"version": version, "minor_version": minor_version, "key": key, "data": data}
        (storage / key).write_text(json.dumps(content))

    # In YAML this would be a trial that Home Assistant ends with a restart after five minutes.
    http = {
        "server_host": ["127.0.0.1"],
        "server_port": port,
        "cors_allowed_origins": [],
        "login_attempts_threshold": -1,
        "ip_ban_enabled": False,
        "ssl_profile": "modern",
        "use_x_frame_options": True,
    }
    store("http", 2, 2, {"stable": http, "pending": None, "yaml_migration_done": True})
    store("onboarding", 4, 1, {"done": ["core_config", "analytics", "integration"]})
    # Only loopback is left to mDNS, which then joins no network and says nothing.
    store("core.network", 1, 1, {"configured_adapters": ["lo", "lo0"]})


def change_configuration(folder: Path, *replacements: tuple[str, str]) -> None:
    """Replace text in the configuration, for the next start."""
    configuration = folder / "configuration.yaml"
    text = configuration.read_text()
    for old, new in replacements:
        text = text.replace(old, new)
    configuration.write_text(text)


def errors_in(log: str) -> list[str]:
    """Lines of a log of Home Assistant that tell of an error in it."""
    return [line for line in LEFT_BEHIND.sub("", log).splitlines() if ERROR.search(line) and not REFUSED.search(line)]


@contextmanager
def running_home(port: int, *, language: str = "en", keep: bool = False) -> Iterator[Home]:
    """Start Home Assistant, log its owner in, and end it on leaving; its folder goes unless ``keep``."""
    folder = Path(tempfile.mkdtemp(prefix="calvalot-demo-"))
    home = Home(folder, port)
    try:
        seed(folder, port, language)
        with home.kept_running(language):
            yield home
    finally:
        home.errors = errors_in(home.log)
        if home.errors:
            print("\nErrors in the log of Home Assistant:", *ENTRY.findall(home.log), sep="\n")
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
