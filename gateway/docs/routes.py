"""The documentation pages; every asset is a file of ours, so they work offline."""

import json
from functools import cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_PACKAGE = files("gateway")
_KEEP = "public, max-age=86400"
# Both pages set styles from scripts, which only 'unsafe-inline' allows; scripts are ours alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router.mount("/docs/assets", StaticFiles(packages=[("gateway", "static")]))


@cache
def _page(name: str) -> str:
    return _PACKAGE.joinpath("docs", name).read_text("utf-8")


@cache
def _document() -> tuple[bytes, str]:
    """The merged document and its entity tag."""
    document = json.loads(_PACKAGE.joinpath("openapi.json").read_bytes())
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return text, f'"{sha256(text).hexdigest()[:32]}"'


@router.get("/")
async def front() -> dict[str, str]:
    return {
        "name": "Waymark",
        "docs": "/docs",
        "reference": "/reference",
        "openapi": "/openapi.json",
    }


@router.get("/docs")
async def swagger() -> Response:
    return _html("swagger.html")


@router.get("/reference")
async def reference() -> Response:
    return _html("reference.html")


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    text, tag = _document()
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/json", headers=headers)


def _html(name: str) -> Response:
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": _KEEP}
    return Response(_page(name), media_type="text/html", headers=headers)
