from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias, type_check_only
from wsgiref.types import StartResponse, WSGIEnvironment

__version__: Final[str]
__all__ = ["Sse", "Channel", "Closed", "HEADERS", "last_event_id", "__version__"]

_Text: TypeAlias = str | bytes
_EventId: TypeAlias = str | bytes | int | None

# list and set are invariant: a list[str] is no list[str | bytes], and mypy takes ["a", b"b"] for
# a list of objects where a union offers several. So: what has items of text, and the one
# attribute by which it is a list, or a set.
@type_check_only
class _List(Protocol):
    def __iter__(self) -> Iterator[_Text]: ...
    @property
    def sort(self) -> object: ...

@type_check_only
class _Set(Protocol):
    def __iter__(self) -> Iterator[_Text]: ...
    @property
    def intersection_update(self) -> object: ...

_Data: TypeAlias = _Text | tuple[_Text, ...] | frozenset[_Text] | _List | _Set

# What `last_event_id` reads: an environ, a scope or headers, whose keys and values differ. Not
# all headers are a Mapping: those of Werkzeug and of http.server are none.
@type_check_only
class _Mapping(Protocol):
    @property
    def get(self) -> Callable[..., Any]: ...
    @property
    def items(self) -> Callable[[], Iterable[tuple[Any, Any]]]: ...

@type_check_only
class _HasScope(Protocol):
    @property
    def scope(self) -> _Mapping: ...

@type_check_only
class _HasEnviron(Protocol):
    @property
    def environ(self) -> _Mapping: ...

@type_check_only
class _HasMeta(Protocol):
    @property
    def META(self) -> _Mapping: ...

@type_check_only
class _HasHeaders(Protocol):
    @property
    def headers(self) -> _Mapping: ...

_Request: TypeAlias = _Mapping | _HasScope | _HasEnviron | _HasMeta | _HasHeaders

HEADERS: Final[tuple[tuple[str, str], ...]]

class Closed(ValueError): ...

def last_event_id(request: _Request) -> str | None: ...

@type_check_only
class _Chunks(AsyncIterator[bytes], Protocol):
    # Neither has to be awaited.
    def aclose(self) -> Awaitable[None]: ...
    def close(self) -> Awaitable[None]: ...

@type_check_only
class _AddEvent(Protocol):
    def __call__(
        self, text: _Data, encoding: str = "utf-8", event_id: _EventId = None
    ) -> None: ...

@type_check_only
class _AddEventToMany(Protocol):
    def __call__(
        self,
        text: _Data,
        encoding: str = "utf-8",
        event_id: _EventId = None,
        keep: bool = True,
    ) -> None: ...

class Sse:
    def __init__(
        self, default_retry: int | None = 2000, max_pending: int | None = None
    ) -> None: ...
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
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...
    def set_retry(self, num: int) -> None: ...
    def set_event_id(self, event_id: _EventId) -> None: ...
    def reset_event_id(self) -> None: ...
    def flush(self) -> None: ...
    def data_to_send(self) -> bytes: ...
    def __iter__(self) -> Iterator[str]: ...
    def stream(
        self, keepalive: float | None = 15, producer: Callable[[Sse], None] | None = None
    ) -> Generator[bytes, None, None]: ...
    def astream(
        self,
        keepalive: float | None = 15,
        producer: Callable[[Sse], Awaitable[None] | None] | None = None,
    ) -> _Chunks: ...
    # In a thread it blocks, and there is nothing to await.
    def drain(self) -> Awaitable[None]: ...
    def __bytes__(self) -> bytes: ...
    def __unicode__(self) -> str: ...

# A place is an epoch, text, and a number.
@type_check_only
class _Store(Protocol):
    def add(self, block: bytes, topics: list[str] | None, keep: bool, /) -> int: ...
    def read(
        self, place: tuple[str, int] | None, history: int, /
    ) -> tuple[tuple[str, int], int | None, Iterable[Any]]: ...
    def newest(self) -> tuple[str, int]: ...

class _Audience:
    def __init__(self, log: object, topics: frozenset[str] | None) -> None: ...
    def add_message(
        self,
        event: _Text | None,
        text: _Data,
        encoding: str = "utf-8",
        event_id: _EventId = None,
        keep: bool = True,
    ) -> None: ...
    def add_json(
        self,
        event: _Text | None,
        value: object,
        event_id: _EventId = None,
        default: Callable[[Any], object] | None = None,
        keep: bool = True,
    ) -> None: ...
    def add_comment(self, text: _Text = "", keep: bool = True) -> None: ...
    def __getattr__(self, attr: str) -> _AddEventToMany: ...
    @property
    def streams(self) -> list[Sse]: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...

class Channel(_Audience):
    def __init__(
        self,
        history: int = 0,
        default_retry: int | None = 2000,
        max_pending: int | None = 1048576,
        reset_event: _Text = "reset",
        store: _Store | None = None,
    ) -> None: ...
    def open(
        self,
        request: _Request | _Text | None = None,
        topics: _Text | tuple[_Text, ...] | frozenset[_Text] | _List | _Set = (),
    ) -> Sse: ...
    def to(self, *topics: _Text) -> _Audience: ...
    @property
    def newest_id(self) -> str | None: ...
    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...
