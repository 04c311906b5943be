"""Clients of a protocol above Server-Sent Events, each on a stream of its own kind.

What they do with others is stated too, so that a test fails on the day that they are mended.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import queue

import pytest

from sse import HEADERS, Closed, Sse, last_event_id
from streams import served

FOREVER = 30
BIG = "x" * (2 * 1024 * 1024)
HELLO = [{"role": "user", "content": "Hello"}]
TEXTS = ["Good", " ", "morning\r\n\r\n", "data: \u2028\0\U0001f600", "", BIG]

Request = collections.namedtuple("Request", "path body last_event_id sse")


class App(object):
    """Answers each request with an `Sse` that the test fills; it gets them with `next`."""

    def __init__(self, keepalive=15, **new):
        self._keepalive = keepalive
        self._new = new
        self._requests = queue.Queue()

    def __call__(self, environ, start_response):
        sse = Sse(**self._new)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(size)) if size else None
        self._requests.put(Request(environ["PATH_INFO"], body, last_event_id(environ), sse))
        # MCP's answers to what needs none, and to what is answered on another stream.
        if environ["PATH_INFO"] == "/messages" or body and "method" in body and "id" not in body:
            start_response("202 Accepted", [("Content-Length", "0")])
            return []
        start_response("200 OK", list(HEADERS))
        return sse.stream(self._keepalive)

    def next(self):
        try:
            return self._requests.get(timeout=FOREVER)
        except queue.Empty:
            raise AssertionError("no request within %d seconds" % FOREVER)


@pytest.fixture
def serve():
    """`serve(**new)` gives an `App` and its address."""
    with contextlib.ExitStack() as stack:
        def start(**new):
            app = App(**new)
            return app, stack.enter_context(served(app))
        yield start


# Each of these gives the texts that it reads from the stream of a model's API.


def openai(url):
    client = pytest.importorskip("openai").OpenAI(api_key="none", base_url=url, max_retries=0)
    for chunk in client.chat.completions.create(model="m", messages=HELLO, stream=True):
        yield chunk.choices[0].delta.content


def groq(url):
    client = pytest.importorskip("groq").Groq(api_key="none", base_url=url, max_retries=0)
    for chunk in client.chat.completions.create(model="m", messages=HELLO, stream=True):
        yield chunk.choices[0].delta.content


def mistralai(url):
    client = pytest.importorskip("mistralai.client").Mistral(api_key="none", server_url=url)
    for chunk in client.chat.stream(model="m", messages=HELLO):
        yield chunk.data.choices[0].delta.content


def huggingface_hub(url):
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(base_url=url, api_key="none")
    for chunk in client.chat_completion(HELLO, stream=True):
        yield chunk.choices[0].delta.content


def google_genai(url):
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options={"base_url": url})
    for chunk in client.models.generate_content_stream(model="m", contents="Hello"):
        yield chunk.text


def anthropic(url):
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="none", base_url=url, max_retries=0)
    with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        yield from stream.text_stream


# Each of these adds the texts in the form of an API.


def tokens(event=None, **more):
    def add(sse):
        for text in TEXTS:
            sse.add_json(event, {
                "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
                **more)
            sse.add_comment("keepalive")
        sse.add_message(event, "[DONE]")
    return add


def google_tokens(event=None, **more):
    def add(sse):
        for text in TEXTS:
            sse.add_json(event, {"candidates": [{
                "content": {"role": "model", "parts": [{"text": text}]}}]}, **more)
    return add


def messages(sse):
    """Those of Anthropic."""
    def add(event, **values):
        sse.add_json(event, dict(values, type=event), event_id="7")
        sse.add_comment("keepalive")

    add("message_start", message={
        "id": "1", "type": "message", "role": "assistant", "content": [], "model": "m",
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}})
    add("content_block_start", index=0, content_block={"type": "text", "text": ""})
    add("ping")
    for text in TEXTS:
        add("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    add("content_block_stop", index=0)
    add("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": 2})
    add("message_stop")
    sse.set_event_id("alone")


def nameless(sse):
    sse.add_json(None, {"type": "ping"})


def error(sse):
    sse.add_json("error", {"type": "error", "error": {
        "type": "overloaded_error", "message": "overloaded"}})


def read(serve, client, add, new):
    """The texts that a client reads while they are added, with whatever `new` adds by itself."""
    app, url = serve(**dict({"keepalive": 0.05}, **new))

    def answer():
        sse = app.next().sse
        with contextlib.suppress(Closed):       # the client failed, and disconnected
            add(sse)
        sse.close()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answered = pool.submit(answer)
        try:
            return list(client(url))
        finally:
            answered.result(FOREVER)


NO_RETRY = {"default_retry": None}
BARE = {"default_retry": None, "keepalive": None}


@pytest.mark.parametrize("client, add, new", [
    (openai, tokens(), NO_RETRY), (openai, tokens("message"), NO_RETRY),
    (openai, tokens("token", event_id="7"), NO_RETRY),
    (groq, tokens(event_id="7"), NO_RETRY),
    (mistralai, tokens(event_id="7"), {}), (mistralai, tokens("token"), {}),
    (huggingface_hub, tokens(event_id="7"), {}), (huggingface_hub, tokens("token"), {}),
    (google_genai, google_tokens(), BARE), (anthropic, messages, {}),
])
def test_clients_of_models(serve, client, add, new):
    assert read(serve, client, add, new) == TEXTS


@pytest.mark.parametrize("client, add, new, fault", [
    (openai, tokens(), {}, "JSONDecodeError"),
    (openai, lambda sse: sse.set_event_id("7"), NO_RETRY, "JSONDecodeError"),
    (openai, error, NO_RETRY, "APIError"),
    (groq, tokens(), {}, "JSONDecodeError"),
    (groq, tokens("token"), NO_RETRY, "TypeError"),
    (groq, tokens("message"), NO_RETRY, "TypeError"),
    (google_genai, google_tokens(), NO_RETRY, "UnknownApiResponseError"),
    (google_genai, google_tokens(), {"default_retry": 1, "keepalive": None},
     "UnknownApiResponseError"),
    (google_genai, google_tokens("message"), BARE, "UnknownApiResponseError"),
    (google_genai, google_tokens(event_id="7"), BARE, "UnknownApiResponseError"),
    (anthropic, error, NO_RETRY, "APIStatusError"),
])
def test_what_clients_of_models_fail_at(serve, client, add, new, fault):
    with pytest.raises(Exception) as caught:
        read(serve, client, add, new)
    assert type(caught.value).__name__ == fault


def test_anthropic_needs_event_names(serve):
    assert read(serve, anthropic, nameless, NO_RETRY) == []


RESULTS = {
    "initialize": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "serverInfo": {"name": "server", "version": "1"}},
    "tools/list": {"tools": [{"name": "tool", "description": "\u2028\0\r\n",
                              "inputSchema": {"type": "object"}}]},
}


def respond(sse, body, **more):
    result = dict(RESULTS[body["method"]], **more)
    sse.add_json("message", {"jsonrpc": "2.0", "id": body["id"], "result": result})


async def answer_mcp(app, method, sse=None, **more):
    """Answer the next request, which has to be of this method, on its own stream or on `sse`."""
    request = await asyncio.to_thread(app.next)
    assert request.body["method"] == method
    respond(sse or request.sse, request.body, **more)
    if sse is None:
        request.sse.close()


async def list_tools(app, session, answer):
    """The description of the tool that the client is told of, once it is initialised."""
    await asyncio.gather(session.initialize(), answer("initialize"))
    assert (await asyncio.to_thread(app.next)).body["method"] == "notifications/initialized"
    result, _ = await asyncio.gather(session.list_tools(), answer("tools/list"))
    return result.tools[0].description


def run(function, *arguments):
    return asyncio.run(asyncio.wait_for(function(*arguments), FOREVER))


def streamable(url):
    return pytest.importorskip("mcp.client.streamable_http").streamable_http_client(url + "/mcp")


def session(streams):
    return pytest.importorskip("mcp").ClientSession(*streams)


def test_mcp(serve):
    """Its retry block is not taken for a message."""
    app, url = serve()

    async def read():
        async with streamable(url) as streams, session(streams) as client:
            return await list_tools(app, client, lambda method: answer_mcp(app, method))

    assert run(read) == "\u2028\0\r\n"


def test_mcp_reconnects(serve):
    """An id alone is enough, and the retry is that of the stream."""
    app, url = serve(default_retry=1)

    async def answer(method):
        request = await asyncio.to_thread(app.next)
        request.sse.set_event_id(method)
        request.sse.close()
        again = await asyncio.to_thread(app.next)
        assert (again.path, again.body, again.last_event_id) == ("/mcp", None, method)
        respond(again.sse, request.body)
        again.sse.close()

    async def read():
        async with streamable(url) as streams, session(streams) as client:
            return await list_tools(app, client, answer)

    assert run(read) == "\u2028\0\r\n"


def test_mcp_takes_a_mebibyte(serve):
    mcp = pytest.importorskip("mcp")
    app, url = serve(default_retry=None)

    async def read():
        async with streamable(url) as streams, session(streams) as client:
            await list_tools(app, client, lambda method: answer_mcp(app, method))
            with pytest.raises(mcp.MCPError, match="exceeded the 1048576 byte limit"):
                await asyncio.gather(
                    client.list_tools(), answer_mcp(app, "tools/list", more=BIG))

    run(read)


def test_mcp_of_2024(serve):
    """One stream for all answers; its first event says where to post."""
    app, url = serve(default_retry=None)

    async def read():
        from mcp.client.sse import sse_client

        async def open_stream():
            request = await asyncio.to_thread(app.next)
            request.sse.add_message("endpoint", "/messages?session_id=7")
            return request.sse

        opening = asyncio.create_task(open_stream())
        async with sse_client(url + "/sse") as streams, session(streams) as client:
            sse = await opening
            description = await list_tools(
                app, client, lambda method: answer_mcp(app, method, sse))
            sse.close()
            return description

    assert run(read) == "\u2028\0\r\n"
