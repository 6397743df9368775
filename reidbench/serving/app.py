"""The routes of the service: the page, the search, copies of images, and the OpenAPI document."""

from __future__ import annotations

import secrets
from pathlib import Path as File
from typing import Any

from fastapi import FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from reidbench import __version__
from reidbench.files.names import shown

from .answers import About, Found, Problem
from .limits import Refused
from .service import Service
from .uploads import FORM, PART, picture_in, read_body

PAGE = File(__file__).with_name("page.html")
POLICY = (
    "default-src 'none'; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
USUAL = 10  # images of an answer
PROBLEMS = {
    400: "The body is broken or ends early.",
    403: "The request comes from a page of another site.",
    404: "There is no such image.",
    408: "The upload takes too long.",
    413: "The upload has too many bytes.",
    415: f"The body is not {FORM}.",
    422: "The image or a parameter cannot be used.",
    503: "Too many requests are waiting; `Retry-After` says when to try again.",
}
BODY = {
    "required": True,
    "content": {
        FORM: {
            "encoding": {PART: {"contentType": "image/png, image/jpeg"}},
            "schema": {
                "type": "object",
                "properties": {
                    PART: {
                        "type": "string",
                        "format": "binary",
                        "description": "A JPEG, PNG, BMP, GIF, TIFF or WebP image.",
                    }
                },
                "required": [PART],
                "additionalProperties": False,
            },
        }
    },
}


def make(service: Service) -> FastAPI:
    """Return the program of a service. It has no pages of documentation, since these load scripts of other sites."""
    app = FastAPI(title="reidbench serve", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    for error in (Refused, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error, _problem)
    most = service.limits.results

    async def search(
        request: Request, k: int = Query(min(USUAL, most), ge=1, le=most, description="Number of images to find.")
    ) -> Found:
        """Find the images of the gallery nearest to an image."""
        with service.uploads.counted() as keep:
            body = await read_body(request, service.limits, keep)
            picture = picture_in(request.headers.get("content-type", ""), body)
            with service.searches.entered():
                return await service.search(picture, k)

    async def copy(number: int = Path(ge=0, description="Number of the image in the gallery, from 0.")) -> Response:
        """Return a copy of an image of the gallery, as a JPEG."""
        with service.copies.entered():
            return Response(await service.copy(number), media_type="image/jpeg")

    async def about() -> About:
        """Return the gallery, the network, and the limits of a search."""
        return service.about

    picture = {200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}}
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_api_route(
        "/search",
        search,
        methods=["POST"],
        responses=_refusals(400, 403, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": BODY},
    )
    app.add_api_route(
        "/gallery/{number}", copy, response_class=Response, responses=picture | _refusals(403, 404, 422, 503)
    )
    app.add_api_route("/about", about, responses=_refusals(403))
    return app


async def _page() -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    text = PAGE.read_text("utf-8").replace("@NONCE@", nonce)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY.format(nonce)})


def _refusals(*codes: int) -> dict[int, dict[str, Any]]:
    return {code: {"model": Problem, "description": PROBLEMS[code]} for code in codes}


async def _problem(request: Request, error: Exception) -> JSONResponse:
    """Answer an error with one sentence as JSON."""
    status, sentence, headers = 500, "the server failed; its terminal shows the reason", {}
    if isinstance(error, Refused):
        status, sentence, headers = error.status, error.sentence, error.headers
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        status, sentence = 422, f"{shown(str(first['loc'][-1]))}: {first['msg']}"
    elif isinstance(error, HTTPException):
        status, sentence, headers = error.status_code, _sentence(error), dict(error.headers or {})
    return JSONResponse({"error": sentence}, status, headers)


def _sentence(error: HTTPException) -> str:
    known = {404: "no such address; / is the page", 405: "this address has no such method; see /openapi.json"}
    return known.get(error.status_code, str(error.detail))
