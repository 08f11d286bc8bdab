"""What of a config must not reach the database: keys that sound like secrets, on any backend, encrypted or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import pytest

import perdure
from perdure.checkpoint.base import get_checkpoint_metadata
from perdure.checkpoint.face import BackendSaver
from perdure.graph import END, START, StateGraph
from perdure.testing.savers import checkpoint_with, config_of, metadata

SECRETS = {
    "api_key": "sk-1", "OPENAI_API_KEY": "sk-2", "token": "sk-3", "client_secret": "sk-4", "db_password": "sk-5",
    "Authorization": "sk-6",
}  # fmt: skip


class State(TypedDict, total=False):
    text: str


def app(saver: Any) -> Any:
    drawn = StateGraph(State)
    drawn.add_node("n", lambda state: {"text": "x"})
    drawn.add_edge(START, "n")
    drawn.add_edge("n", END)
    return drawn.compile(saver)


def with_secrets() -> dict[str, Any]:
    config = config_of()
    config["configurable"] |= {"user": "ada", **SECRETS}
    config["metadata"] = {"api_key": "sk-1", "topic": "tea"}  # LangChain copies what is configurable
    return config


def test_a_run_s_secrets_are_not_metadata(saver: BackendSaver) -> None:
    app(saver).invoke({"text": "a"}, with_secrets())

    for at in saver.list(config_of()):
        assert at.metadata.get("user") == "ada"
        assert at.metadata.get("topic") == "tea"
        assert at.metadata.keys().isdisjoint(SECRETS)


def test_secrets_of_a_put_s_config_are_not_metadata(saver: BackendSaver) -> None:
    saver.put(with_secrets(), checkpoint_with({}), metadata(own=1), {})

    (at,) = saver.list(config_of())
    assert at.metadata.get("user") == "ada"
    assert at.metadata.keys().isdisjoint(SECRETS)


def test_metadata_that_a_program_names_itself_stand() -> None:
    found = get_checkpoint_metadata(
        {"configurable": {"key": "sk"}, "metadata": {"tokens": 3}}, metadata(auth="by mail")
    )

    assert found == {"source": "loop", "step": 0, "parents": {}, "tokens": 3, "auth": "by mail"}


@pytest.mark.parametrize("how", ["run", "put", "stream"])
def test_no_secret_is_in_the_file(tmp_path: Path, how: str) -> None:
    with perdure.connect(f"sqlite:///{tmp_path}/a.db") as db:
        match how:
            case "run":
                app(db).invoke({"text": "a"}, with_secrets())
            case "put":
                db.checkpointer.put(with_secrets(), checkpoint_with({}), metadata(), {})
            case _:
                shown = [*app(db).stream({"text": "a"}, with_secrets(), stream_mode="checkpoints")]
                assert "sk-" not in str(shown)

    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"sk-" not in content
    assert b"ada" in content
