"""examples/frameworks/fastapi_app.py with a middleware of its user's."""

from fastapi_app import app


@app.middleware("http")
async def named(request, call_next):
    response = await call_next(request)
    response.headers["X-Name"] = "value"
    return response
