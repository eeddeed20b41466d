"""Tells what an answer without a vector says: of the server, of the text, or of how the service is set up.

Bodies are read to tell these apart, and never passed on: they may quote a key, or a person's memories.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final, Literal, cast

import httpx

Meaning = Literal["answer", "server", "perhaps_text", "text", "key", "quota", "model", "address"]
"""`server` passes; `text` is about this text alone, and `perhaps_text` about it or about any; the rest is the setup."""

PASSING: Final = frozenset({408, 425, 429, 499})
OF_A_TEXT: Final = frozenset({400, 413, 422})
OF_A_TEXT_OR_THE_SERVER: Final = frozenset({424, 500})
OF_THE_KEY: Final = frozenset({401, 403, 407})
OF_THE_QUOTA: Final = frozenset({402})
OF_WHAT_IS_MISSING: Final = frozenset({404, 410})
SERVER_ERRORS_FROM: Final = 500
SUCCESSES: Final = range(200, 300)

KNOWN_OF_A_TEXT: Final = re.compile(
    r"context[ _](length|size|window)|input length|(input|text|prompt|content|payload)\b.{0,40}\btoo (long|large)"
    r"|maximum .{0,40}\b(length|tokens)|less than \d+ tokens|max[ _]tokens[ _]per[ _]request"
    r"|batch size|unsupported value: [+-]?(nan|inf)"
)
"""What Ollama, llama.cpp, OpenAI, vLLM and text-embeddings-inference say of a text that they cannot embed."""

KNOWN_OF_THE_QUOTA: Final = re.compile(r"insufficient_quota|exceeded your current quota|billing_hard_limit_reached")

RETRY_AFTER_S_MAX: Final = 300.0
"""Who means longer is asked again as often as this, and one that names 10^20 by mistake is not away for longer."""


def meaning_of(response: httpx.Response) -> Meaning:
    status = response.status_code
    if status in SUCCESSES:
        return "answer"
    said = _said(response)
    if status in OF_THE_QUOTA or (status < SERVER_ERRORS_FROM and KNOWN_OF_THE_QUOTA.search(said)):
        return "quota"
    if status in OF_A_TEXT | OF_A_TEXT_OR_THE_SERVER:
        return "text" if KNOWN_OF_A_TEXT.search(said) else "perhaps_text"
    if status in PASSING or status >= SERVER_ERRORS_FROM:
        return "server"
    if status in OF_THE_KEY:
        return "key"
    return "model" if status in OF_WHAT_IS_MISSING and "model" in said else "address"


def retry_after_s(response: httpx.Response) -> float | None:
    """For how long the server asks to be left alone, in either form of HTTP, or in the milliseconds of OpenAI's."""
    milliseconds = _number(response.headers.get("retry-after-ms"))
    asked = response.headers.get("retry-after")
    wait_s = milliseconds / 1000 if milliseconds is not None else _number(asked)
    if wait_s is None and asked is not None:
        wait_s = _until(asked, response.headers.get("date"))
    return None if wait_s is None or wait_s <= 0 else min(wait_s, RETRY_AFTER_S_MAX)


def _said(response: httpx.Response) -> str:
    """The error as the server words it, without what some servers quote beside it."""
    try:
        body = cast("object", response.json())
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    answer = cast("dict[str, object]", body)
    error = answer.get("error", answer)
    return error.lower() if isinstance(error, str) else _joined(error)


def _joined(error: object) -> str:
    if not isinstance(error, dict):
        return ""
    parts = (cast("dict[str, object]", error).get(name) for name in ("message", "detail", "code", "type"))
    return " ".join(part for part in parts if isinstance(part, str)).lower()


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None


def _until(date: str, now: str | None) -> float | None:
    """From the server's own time, where it states that, since its clock need not be ours."""
    try:
        end = parsedate_to_datetime(date)
        start = parsedate_to_datetime(now) if now else datetime.now(UTC)
        return (end - start).total_seconds()
    except (ValueError, TypeError):
        return None
