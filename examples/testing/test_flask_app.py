from flask_app import app, channel


def test_add():
    sse = channel.open()        # a client without a server
    assert app.test_client().post("/add", data="hello").status_code == 204
    assert 'event: news\ndata: "hello"\n' in str(sse)
    sse.close()


def test_events():
    response = app.test_client().get("/events")
    channel.add_json("news", "hello")
    for sse in channel.streams:
        sse.close()             # or `data` would wait for ever
    assert b'event: news\ndata: "hello"\n' in response.data
