"""What every sink is, the registry of them, and what they share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import SplitResult, unquote, urlsplit

from flawsmith.errors import FlawsmithError
from flawsmith.line.results import Verdict
from flawsmith.registry import Registry

TIMEOUT_SECONDS = 10.0
"""How long a receiver may take to connect, and again to answer, before the try has failed."""


@dataclass(frozen=True)
class Message:
    """What a sink is told of one part.

    Attributes:
        id: the same at every try and after every restart, so that receivers can drop repeats.
        sequence: number of the part in the results store; it rises.
        body: JSON in UTF-8 with all of the above and more (see `sinks.message`).
    """

    id: str
    sequence: int
    part: str
    verdict: Verdict
    body: bytes


class Sink(ABC):
    """A receiver of verdicts; one thread uses it.

    Args:
        url: as the user gave it.

    Attributes:
        name: of the sink in the store and in messages: the URL without secrets.

    Raises:
        FlawsmithError: if the URL cannot be one of this kind, or a package is missing. A receiver
            that is not there yet is no error.
    """

    name: str

    @abstractmethod
    def __init__(self, url: str) -> None: ...

    @abstractmethod
    def deliver(self, message: Message) -> None:
        """Return once the receiver has taken it; any exception means that it has to come again."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back the connection."""


SINKS: Registry[type[Sink]] = Registry("sink")
"""Classes of sinks by the scheme of their URLs."""


class UndeliveredError(Exception):
    """The receiver did not take a message; the text says why."""


def open_sink(url: str) -> Sink:
    """Return the sink of a URL such as ``mqtt://host/topic``; nothing is connected yet.

    Raises:
        FlawsmithError: if there is no such kind, or the URL or the installation lacks something.
    """
    scheme = url.partition(":")[0].lower() if ":" in url else url
    return SINKS.get(scheme)(url)


def split_url(url: str, example: str) -> SplitResult:
    """Return the parts of a URL that names a host.

    Raises:
        FlawsmithError: if it names none, or cannot be read; the message shows the example.
    """
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    plain = url.isascii() and url.isprintable() and not {" ", "#"} & set(url)
    if not complete or not plain:
        scheme = url.partition(":")[0]
        raise FlawsmithError(
            f"this {scheme} sink has no readable host, or a character that a URL has to write as "
            f"%xx; expected {example}"
        )
    return parts


def public_name(parts: SplitResult, *, query: bool = False) -> str:
    """Return the URL without its password, and without its query unless that has no secrets."""
    user = f"{parts.username}@" if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    tail = f"?{parts.query}" if query and parts.query else ""
    return f"{parts.scheme}://{user}{host}{parts.path}{tail}"


def credentials(parts: SplitResult) -> tuple[str, str] | None:
    """Return user and password of a URL, decoded; None if it has none."""
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def require_package(package: str, extra: str, what: str) -> None:
    """Raise a `FlawsmithError` that names the extra unless a package is installed."""
    if find_spec(package) is None:
        raise FlawsmithError(
            f"{what} needs the package {package}; install it with: pip install 'flawsmith[{extra}]'"
        )
