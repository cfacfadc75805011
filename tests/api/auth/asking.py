"""Asks an authenticator in an event loop of its own."""

from __future__ import annotations

import asyncio

from matih_api.problems import Problem


async def answer(authenticator, authorization):
    """The principal, or the problem."""
    try:
        return await authenticator.authenticate(authorization)
    except Problem as problem:
        return problem


def ask(authenticator, authorization):
    return asyncio.run(answer(authenticator, authorization))


def ask_with(authenticator, credential):
    return ask(authenticator, f"Bearer {credential}")
