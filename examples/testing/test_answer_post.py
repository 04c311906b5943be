from answer_post import app
from fastapi.testclient import TestClient


def test_answer():
    response = TestClient(app).post("/answer", json={"text": "Why?"})
    assert response.text.endswith('event: word\ndata: "Why?"\n\nevent: done\ndata: null\n\n')
