import pytest


@pytest.fixture(scope="session")
def application(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("users"))   # for accounts.db, presence.db
        patch.setenv("SECRET_KEY", "for tests")
        import accounts
        import users_flask
        accounts.add_user("ann", "password of ann", False, rooms=[1])
    return users_flask


@pytest.fixture
def ann(application):
    client = application.app.test_client()
    client.post("/login", json={"name": "ann", "password": "password of ann"})
    return client


def test_without_a_login(application):
    assert application.app.test_client().get("/events").status_code == 401


def test_a_post(application, ann):
    response = ann.get("/events")
    assert ann.post("/rooms/1/posts", json={"text": "hello"}).status_code == 204
    application.channel.to("room:2").add_json("post", "not for ann")
    for sse in application.channel.streams:
        sse.close()
    assert b'"text":"hello"' in response.data
    assert b"not for ann" not in response.data
