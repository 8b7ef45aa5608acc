"""Where secrets must not be: looked for in everything that leaves Home Assistant or is kept by it."""

from collections.abc import Sequence
from pathlib import Path

OVERLAP = 200


class Watch:
    """Looks for secrets, and remembers where it saw one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._read: dict[Path, int] = {}
        self.seen: list[str] = []
        self.bytes = 0

    def guard(self, *secrets: str) -> None:
        """Look for these as well from now on."""
        self._secrets += [secret.encode() for secret in secrets]

    def look(self, where: str, content: bytes) -> None:
        """Look through something."""
        self.bytes += len(content)
        if any(secret in content for secret in self._secrets):
            self.seen.append(where)

    def look_on(self, log: Path) -> bytes:
        """Look through what a file has got since the last time; returns it."""
        start = self._read.get(log, 0)
        with log.open("rb") as file:
            file.seek(max(0, start - OVERLAP))
            content = file.read()
            self._read[log] = file.tell()
        self.look(log.name, content)
        return content[min(start, OVERLAP) :]

    def look_into(self, folder: Path, *patterns: str) -> None:
        """Look through whole files."""
        for pattern in patterns:
            for file in folder.glob(pattern):
                if file.is_file():
                    self.look(file.name, file.read_bytes())
