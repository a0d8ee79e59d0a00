"""Sends answers over HTTP, whole or with the faults of a network."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from .weather import Delivery

if TYPE_CHECKING:
    from .answer import Answer

#: A stalled connection is closed after so many seconds at the latest.
_STALL = 3600.0


async def send(request: web.BaseRequest, answer: Answer, how: Delivery) -> web.StreamResponse:
    """Send an answer in the given way; returns what aiohttp wants back from a handler."""
    if how is Delivery.WHOLE:
        whole = web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": answer.content_type, **answer.headers},
        )
        # Written here and not by aiohttp, so that the request counts as in flight until then.
        await whole.prepare(request)
        await whole.write_eof()
        return whole
    if how is Delivery.STALL:
        await asyncio.sleep(_STALL)
    if how in (Delivery.RESET, Delivery.STALL):
        _reset(request)
        return web.Response()
    response = web.StreamResponse(
        status=answer.status, headers={"Content-Type": answer.content_type, **answer.headers}
    )
    response.force_close()
    if how is Delivery.WITHOUT_LENGTH:
        await response.prepare(request)
        await response.write(answer.body)
        await response.write_eof()
        return response
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if how is Delivery.STALL_IN_BODY:
        await asyncio.sleep(_STALL)
    if how is Delivery.CUT:
        _close(request)
    else:
        _reset(request)
    return response


def _reset(request: web.BaseRequest) -> None:
    """Close the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _close(request: web.BaseRequest) -> None:
    """Close the connection as if the answer had ended."""
    if request.transport is not None:
        request.transport.close()
