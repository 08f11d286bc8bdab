"""LangChain's messages are saved without being named anywhere, and read in a process that has not imported LangChain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from perdure.codec import Codec
from perdure.errors import EncodingError
from with_langchain.states import ABSENT, needs_langchain

pytestmark = needs_langchain

CHAT = """
from operator import add
from typing import Annotated, TypedDict
import perdure
from perdure.graph import START, StateGraph

class Chat(TypedDict):
    messages: Annotated[list, add]

def answer(chat):
    from langchain_core.messages import AIMessage
    return {"messages": [AIMessage("heard: " + chat["messages"][-1].content)]}

def graph(db):
    return StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer").compile(db)
"""


def messages() -> list[Any]:
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        HumanMessage,
        RemoveMessage,
        SystemMessage,
        ToolMessage,
    )

    calls: Any = [{"name": "look", "args": {"at": 1}, "id": "c1"}]
    usage: Any = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    return [
        HumanMessage("hi", id="1", name="ada"),
        AIMessage("x", tool_calls=calls, usage_metadata=usage, response_metadata={"k": (1, 2)}),
        AIMessageChunk("x"),
        ToolMessage("r", tool_call_id="c1", artifact={"any": {1, 2}}),
        SystemMessage([{"type": "text", "text": "a"}]),
        RemoveMessage(id="3"),
    ]


def test_messages_come_back_as_they_were() -> None:
    codec = Codec()

    for message in messages():
        back = codec.decode(codec.encode(message))
        assert type(back) is type(message)
        assert back == message
        assert back.model_fields_set == message.model_fields_set


def test_a_class_of_ones_own_that_is_a_message_has_to_be_named_as_before() -> None:
    from langchain_core.messages import HumanMessage

    class Own(HumanMessage):
        pass

    with pytest.raises(EncodingError, match="Own"):
        Codec().encode({"said": Own("x")})


def test_a_class_that_only_calls_itself_like_a_message_is_refused() -> None:
    from langchain_core import messages as theirs

    made: Any = type("HumanMessage", (theirs.HumanMessage,), {"__module__": "langchain_core.messages.human"})

    with pytest.raises(EncodingError, match="HumanMessage"):
        Codec().encode(made("x"))


@pytest.mark.parametrize("name", ["BaseMessage", "get_buffer_string", "HumanMessage\0", "__doc__", 7, None])
def test_no_other_name_in_the_data_leads_into_langchain(name: object) -> None:
    codec = Codec()
    good = codec.encode(messages()[0])
    tag, plain = ormsgpack.unpackb(good[1:], ext_hook=lambda tag, packed: (tag, ormsgpack.unpackb(packed)))
    assert plain[0] == "HumanMessage"

    bad = good[:1] + ormsgpack.packb(ormsgpack.Ext(tag, ormsgpack.packb([name, *plain[1:]])))

    with pytest.raises(EncodingError):
        codec.decode(bad)


def python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_chat_under_a_bare_list_goes_on_in_a_process_that_has_not_loaded_langchain(tmp_path: Path) -> None:
    said = CHAT + (
        "db = perdure.connect('sqlite:///chat.db')\n"
        "from langchain_core.messages import HumanMessage\n"
        "graph(db).invoke({'messages': [HumanMessage('one')]}, {'configurable': {'thread_id': 't'}})\n"
        "db.close()\n"
    )
    read = CHAT + (
        "import sys\n"
        "db = perdure.connect('sqlite:///chat.db')\n"
        "assert 'langchain_core' not in sys.modules\n"
        "state = graph(db).get_state({'configurable': {'thread_id': 't'}})\n"
        "print([type(m).__name__ + ' ' + m.content for m in state.values['messages']])\n"
        "db.close()\n"
    )

    python(said, tmp_path)

    assert python(read, tmp_path) == "['HumanMessage one', 'AIMessage heard: one']"


def test_where_langchain_is_missing_reading_a_message_says_so(tmp_path: Path) -> None:
    (tmp_path / "message.bin").write_bytes(Codec().encode(messages()[0]))
    code = ABSENT + (
        "from perdure.codec import Codec\n"
        "from perdure.errors import EncodingError\n"
        "try:\n"
        "    Codec().decode(open('message.bin', 'rb').read())\n"
        "except EncodingError as error:\n"
        "    print(error)\n"
    )

    assert "langchain_core" in python(code, tmp_path)
