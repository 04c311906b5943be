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
        return self._requests.get(timeout=FOREVER)


@pytest.fixture
def serve():
    """`serve(**new)` gives an `App` and its address."""
    with contextlib.ExitStack() as stack:
        def start(**new):
            app = App(**new)
            return app, stack.enter_context(served(app))
        yield start


def openai_stream(url):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="none", base_url=url + "/v1", max_retries=0)
    return client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hello"}], stream=True)


def token(text):
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


@pytest.mark.parametrize("event", [None, "message", "token"])
def test_openai(serve, event):
    app, url = serve(default_retry=None)
    with openai_stream(url) as stream:
        request = app.next()
        assert request.path == "/v1/chat/completions"
        for text in TEXTS:
            request.sse.add_json(event, token(text))
            request.sse.add_comment("keepalive")
            assert next(stream).choices[0].delta.content == text
        request.sse.add_message(event, "[DONE]")
        request.sse.close()
        assert list(stream) == []


def test_openai_error(serve):
    openai = pytest.importorskip("openai")
    app, url = serve(default_retry=None)
    with openai_stream(url) as stream:
        sse = app.next().sse
        sse.add_json(None, {"error": {"message": "overloaded"}})
        sse.close()
        with pytest.raises(openai.APIError, match="overloaded"):
            next(stream)


@pytest.mark.parametrize("add", [
    lambda sse: sse.set_retry(1000),
    lambda sse: sse.set_event_id("7"),
], ids=["retry", "id"])
def test_openai_has_no_block_without_data(serve, add):
    app, url = serve(default_retry=None)
    with openai_stream(url) as stream:
        sse = app.next().sse
        add(sse)
        sse.close()
        with pytest.raises(json.JSONDecodeError):
            next(stream)


# Each of these gives the texts that it reads from the stream of a model's API.


def groq(url):
    client = pytest.importorskip("groq").Groq(api_key="none", base_url=url, max_retries=0)
    for chunk in client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True):
        yield chunk.choices[0].delta.content


def mistralai(url):
    client = pytest.importorskip("mistralai.client").Mistral(api_key="none", server_url=url)
    for chunk in client.chat.stream(model="m", messages=[{"role": "user", "content": "Hello"}]):
        yield chunk.data.choices[0].delta.content


def huggingface_hub(url):
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(base_url=url, api_key="none")
    for chunk in client.chat_completion([{"role": "user", "content": "Hello"}], stream=True):
        yield chunk.choices[0].delta.content


def google_genai(url):
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options={"base_url": url})
    for chunk in client.models.generate_content_stream(model="m", contents="Hello"):
        yield chunk.text


def google_token(text):
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}


def read(serve, client, new, event, **more):
    """The texts that a client reads while they are added, with whatever `new` adds by itself."""
    app, url = serve(**dict({"keepalive": 0.05}, **new))
    make = google_token if client is google_genai else token
    texts = client(url)

    def answer():
        sse = app.next().sse
        with contextlib.suppress(Closed):       # the client failed, and disconnected
            for text in TEXTS:
                sse.add_json(event, make(text), **more)
                if new.get("keepalive", 15):
                    sse.add_comment("keepalive")
            if client is not google_genai:
                sse.add_message(event, "[DONE]")
            sse.close()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        answered = pool.submit(answer)
        try:
            return list(texts)
        finally:
            answered.result(FOREVER)


NO_RETRY = {"default_retry": None}
BARE = {"default_retry": None, "keepalive": None}


@pytest.mark.parametrize("client, new, event, more", [
    (groq, NO_RETRY, None, {"event_id": "7"}),
    (mistralai, {}, None, {"event_id": "7"}), (mistralai, {}, "token", {}),
    (huggingface_hub, {}, None, {"event_id": "7"}), (huggingface_hub, {}, "token", {}),
    (google_genai, BARE, None, {}),
])
def test_clients_of_models(serve, client, new, event, more):
    assert read(serve, client, new, event, **more) == TEXTS


@pytest.mark.parametrize("client, new, event, more", [
    (groq, {}, None, {}), (groq, NO_RETRY, "token", {}), (groq, NO_RETRY, "message", {}),
    (google_genai, NO_RETRY, None, {}), (google_genai, dict(BARE, default_retry=1), None, {}),
    (google_genai, BARE, "message", {}), (google_genai, BARE, None, {"event_id": "7"}),
])
def test_what_clients_of_models_fail_at(serve, client, new, event, more):
    with pytest.raises(Exception) as caught:
        read(serve, client, new, event, **more)
    assert type(caught.value).__name__ in {
        "JSONDecodeError", "TypeError", "UnknownApiResponseError"}


ANSWER = [
    {"type": "message_start", "message": {
        "id": "1", "type": "message", "role": "assistant", "content": [], "model": "m",
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Good"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": BIG}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
     "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


def anthropic_stream(url):
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="none", base_url=url, max_retries=0)
    return client.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])


# A retry block and ids of their own do not disturb it.
@pytest.mark.parametrize("new", [{"default_retry": None}, {}], ids=["no retry", "retry"])
def test_anthropic(serve, new):
    app, url = serve(**new)
    with anthropic_stream(url) as stream:
        request = app.next()
        assert request.path == "/v1/messages"
        for number, event in enumerate(ANSWER):
            request.sse.add_json(event["type"], event, event_id=number)
            request.sse.add_comment("keepalive")
        request.sse.set_event_id("alone")
        request.sse.close()
        assert list(stream.text_stream) == ["Good", BIG]
        assert stream.get_final_message().stop_reason == "end_turn"


def test_anthropic_error(serve):
    anthropic = pytest.importorskip("anthropic")
    app, url = serve(default_retry=None)
    with anthropic_stream(url) as stream:
        sse = app.next().sse
        sse.add_json("error", {"type": "error", "error": {
            "type": "overloaded_error", "message": "overloaded"}})
        sse.close()
        with pytest.raises(anthropic.APIStatusError, match="overloaded"):
            list(stream)


def test_anthropic_needs_event_names(serve):
    app, url = serve(default_retry=None)
    with anthropic_stream(url) as stream:
        sse = app.next().sse
        for event in ANSWER:
            sse.add_json(None, event)
        sse.close()
        assert list(stream) == []


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


# Its retry block is not taken for a message.
@pytest.mark.parametrize("new", [{"default_retry": None}, {}], ids=["no retry", "retry"])
def test_mcp(serve, new):
    app, url = serve(**new)

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
