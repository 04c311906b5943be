"""WSGI: waitress-serve --threads=50 --channel-request-lookahead=1 wsgi_app:app"""

from sse import Channel

channel = Channel(history=1000)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        return channel(environ, start_response)

    if environ["REQUEST_METHOD"] == "POST":
        text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        channel.add_json("news", text.decode("utf-8", "replace"))
    start_response("204 No Content", [])
    return []
