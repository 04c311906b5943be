from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias, type_check_only
from wsgiref.types import StartResponse, WSGIEnvironment

__version__: Final[str]
__all__ = ["Sse", "HEADERS", "last_event_id", "__version__"]

_Text: TypeAlias = str | bytes
# Lists and sets are invariant: a list[str] is no list[str | bytes].
_Data: TypeAlias = (
    _Text
    | list[str] | list[bytes] | list[_Text]
    | tuple[_Text, ...]
    | set[str] | set[bytes] | set[_Text]
    | frozenset[_Text]
)
_EventId: TypeAlias = str | bytes | int | None

HEADERS: Final[tuple[tuple[str, str], ...]]

def last_event_id(environ: Mapping[str, Any]) -> str | None: ...

@type_check_only
class _AddEvent(Protocol):
    def __call__(
        self, text: _Data, encoding: str = "utf-8", event_id: _EventId = None
    ) -> None: ...

class Sse:
    def __init__(
        self, default_retry: int | None = 2000, max_pending: int | None = None
    ) -> None: ...
    def set_retry(self, num: int) -> None: ...
    def set_event_id(self, event_id: _EventId) -> None: ...
    def reset_event_id(self) -> None: ...
    def add_message(
        self,
        event: _Text | None,
        text: _Data,
        encoding: str = "utf-8",
        event_id: _EventId = None,
    ) -> None: ...
    def add_json(
        self,
        event: _Text | None,
        value: object,
        event_id: _EventId = None,
        default: Callable[[Any], object] | None = None,
    ) -> None: ...
    def add_comment(self, text: _Text = "") -> None: ...
    # No type can say that the name begins with add_event_: any other unknown name is taken
    # for such a method too, and a checker finds it only where its use does not fit one.
    def __getattr__(self, attr: str) -> _AddEvent: ...
    def flush(self) -> None: ...
    def data_to_send(self) -> bytes: ...
    def __iter__(self) -> Iterator[str]: ...
    def stream(self, keepalive: float | None = 15) -> Generator[bytes, None, None]: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...
    def __bytes__(self) -> bytes: ...
    def __unicode__(self) -> str: ...
