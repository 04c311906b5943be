from wsgiref.simple_server import make_server
from sse import Sse


def application(environ, start_response):
    sse = Sse()
    sse.add_message("greeting", u"Hello,\nworld")
    sse.add_json("numbers", [1, 2, 3], event_id=2)
    sse.close()                         # or keep it, and add to it from any thread
    return sse(environ, start_response)


if __name__ == "__main__":
    make_server("127.0.0.1", 8000, application).serve_forever()
