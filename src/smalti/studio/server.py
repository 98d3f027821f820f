"""The server of the studio: uvicorn, which gives the jobs up when it is told to end."""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette


class Server(uvicorn.Server):
    """Serves the studio's application until the process is stopped.

    Args:
        app: what `build_app` put together.
    """

    def __init__(self, app: Starlette) -> None:
        self._worker = app.state.worker
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all jobs, and with them the answers that uvicorn waits for, then all else."""
        await asyncio.to_thread(self._worker.close)
        await super().shutdown(sockets)
