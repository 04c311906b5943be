"""WSGI: waitress-serve --threads=50 --channel-request-lookahead=1 wsgi_app:app"""

from sse import Sse

streams = set()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        sse = Sse(max_pending=100000)
        streams.add(sse)
        return sse(environ, start_response)

    if environ["REQUEST_METHOD"] == "POST":
        text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        publish(text.decode("utf-8", "replace"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % len(streams)]


def publish(text):
    for sse in list(streams):
        try:
            sse.add_json("news", text)
        except (BufferError, ValueError):   # too slow, or gone
            sse.close()
            streams.discard(sse)
