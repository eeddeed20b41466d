"""Fixes 3 and 4 leave work to a promise that nobody awaits: `work().catch(error => console.error(…, error))`."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def start_and_forget(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """The task is returned for tests to wait for; the guide keeps nothing."""

    async def log_what_fails() -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- as `.catch` does
            logger.error("Co-occurrence recording failed: %s", error)  # noqa: TRY400 -- as `console.error` does

    return asyncio.create_task(log_what_fails())
