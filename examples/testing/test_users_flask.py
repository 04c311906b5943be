def test_a_post(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)     # where accounts.db and presence.db are made
    monkeypatch.setenv("SECRET_KEY", "for tests")
    import accounts
    from users_flask import app, channel
    accounts.add_user("ann", "password of ann", False, rooms=[1])

    client = app.test_client()
    assert client.get("/events").status_code == 401
    client.post("/login", json={"name": "ann", "password": "password of ann"})
    response = client.get("/events")
    assert client.post("/rooms/1/posts", json={"text": "hello"}).status_code == 204
    channel.to("room:2").add_json("post", "not for ann")
    for sse in channel.streams:
        sse.close()
    assert b'"text":"hello"' in response.data
    assert b"not for ann" not in response.data
