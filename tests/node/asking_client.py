"""One question to a fleet by each library that is named, with what agents.env says of it and nothing else.

Prints what each got, by its name: the answer, or the errors that led to none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator

import openai
import requests

URL, KEY, MODEL = (os.environ[name] for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTFLEET_MODEL"))


def by_openai() -> str:
    client = openai.OpenAI(max_retries=0)
    said = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])
    return str(said.choices[0].message.content)


def by_langchain() -> str:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415  # takes seconds

    return str(ChatOpenAI(model=MODEL, max_retries=0).invoke("hello").content)


def by_crewai() -> str:
    from crewai import LLM  # noqa: PLC0415  # takes seconds

    return str(LLM(model=MODEL, custom_openai=True, base_url=URL, api_key=KEY).call("hello"))


def by_requests() -> str:
    headers = {"Authorization": f"Bearer {KEY}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    answer = requests.post(f"{URL}/chat/completions", json=body, headers=headers, timeout=60)
    return str(answer.json()["choices"][0]["message"]["content"])


def answer_of(client: Callable[[], str]) -> str:
    try:
        return client()
    except Exception as error:  # each library has its own, and all are to be told
        return " < ".join(f"{type(one).__name__}: {one}" for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    clients = {
        by.__name__.removeprefix("by_"): by for by in (by_openai, by_langchain, by_crewai, by_requests)
    }
    print(json.dumps({name: answer_of(clients[name]) for name in sys.argv[1:]}))
