"""URLs of Postgres databases: what they say, and that a password is said to nobody."""

from __future__ import annotations

import subprocess
import sys
import traceback
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

from psycopg.conninfo import conninfo_to_dict

from perdure.storage.postgres.place import Place, place_of

SECRET = "hunter2"


def libpq(place: Place) -> dict[str, object]:
    return dict(conninfo_to_dict(place.conninfo))


def test_a_url_without_options_gives_the_defaults() -> None:
    place = place_of("postgresql://ada@db.example.com:6543/agents")

    assert place.name == "postgresql://ada@db.example.com:6543/agents?schema=public"
    assert (place.schema, place.prepare, place.pool_min, place.pool_max) == ("public", "auto", 0, 10)
    assert (place.pool_timeout, place.pool_idle) == (30.0, 300.0)
    assert dict(place.limits) == {"lock_timeout": 30_000, "idle_in_transaction_session_timeout": 30_000}
    assert {key: libpq(place)[key] for key in ("user", "host", "port", "dbname", "application_name")} == {
        "user": "ada", "host": "db.example.com", "port": "6543", "dbname": "agents", "application_name": "perdure",
    }  # fmt: skip


def test_every_option_of_ours_is_read() -> None:
    place = place_of(
        "postgres://h/d?schema=Agents%20%C3%A9&prepare=off&pool_min=2&pool_max=40&pool_timeout=1.5&pool_idle=9"
        "&statement_timeout=30s&lock_timeout=2min&idle_in_transaction_session_timeout=500"
    )

    assert replace(place, conninfo="", name="") == Place(
        conninfo="",
        name="",
        schema="Agents é",
        prepare="off",
        pool_min=2,
        pool_max=40,
        pool_timeout=1.5,
        pool_idle=9.0,
        limits=(
            ("statement_timeout", 30_000),
            ("lock_timeout", 120_000),
            ("idle_in_transaction_session_timeout", 500),
        ),
    )


def test_options_of_libpq_pass_through_and_win_over_our_defaults() -> None:
    place = place_of(
        "postgresql://h1,h2:5433/d?sslmode=verify-full&sslrootcert=/etc/a+b.pem&application_name=ours"
        "&target_session_attrs=read-write&connect_timeout=3&options=-c%20work_mem%3D1MB"
    )

    told = libpq(place)
    assert (told["host"], told["port"], told["target_session_attrs"]) == ("h1,h2", ",5433", "read-write")
    assert (told["sslmode"], told["sslrootcert"]) == ("verify-full", "/etc/a+b.pem")
    assert (told["application_name"], told["connect_timeout"]) == ("ours", "3")
    assert place.options == "-c work_mem=1MB"


def test_pairs_as_libpq_takes_them_are_read_as_well() -> None:
    place = place_of(r"host=/run/pg  dbname='my db' user = ada password='it\'s \\ here' schema=s pool_max=3")

    assert (place.schema, place.pool_max) == ("s", 3)
    assert libpq(place) | {"password": r"it's \ here", "dbname": "my db", "host": "/run/pg"} == libpq(place)
    assert place.name == "postgresql://ada@%2Frun%2Fpg/my%20db?schema=s"


def test_the_way_of_jdbc_to_ask_for_tls_is_understood() -> None:
    assert libpq(place_of("postgresql://h/d?ssl=true"))["sslmode"] == "require"


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ("-csearch_path%3Dours", "ours"),
        ("-c%20search_path%3Dours%2Cpublic", "ours"),
        ("-c%20search_path%3D%22Our%20Own%22", "Our Own"),
        ("-csearch_path%3Dours&schema=theirs", "theirs"),
        ("-c%20work_mem%3D1MB", "public"),
    ],
)
def test_the_schema_is_the_first_of_the_search_path_unless_said(options: str, schema: str) -> None:
    assert place_of(f"postgresql://h/d?options={options}").schema == schema


def test_further_options_win_over_those_of_the_url() -> None:
    place = place_of(
        "postgresql://h/d?schema=a&pool_max=3&sslmode=require", {"schema": "b", "sslmode": "disable"}
    )

    assert (place.schema, place.pool_max, libpq(place)["sslmode"]) == ("b", 3, "disable")


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1))
def test_any_password_and_any_database_name_arrive_as_they_are(text: str) -> None:
    from urllib.parse import quote

    place = place_of(f"postgresql://u:{quote(text, safe='')}@h/{quote(text, safe='')}?schema=s")

    assert (libpq(place)["password"], libpq(place)["dbname"]) == (text, text)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:hunter2@h/d?shcema=x", "'shcema' is known neither .* did you mean 'schema'"),
        ("postgresql://u:hunter2@h/d?pool_maxx=1", "did you mean 'pool_max'"),
        ("postgresql://u:hunter2@h/d?sslmod=require", "did you mean 'sslmode'"),
        ("postgresql://u:hunter2@h/d?zzzzzzzz=1", "Perdure's own: schema, prepare"),
        ("host=h passwort=hunter2", "did you mean 'password'"),
        ("postgresql://u:hunter2@h/d?schema", "not key=value"),
        ("postgresql://u:hunter2@h/d?schema=a&schema=b", "'schema' is there twice"),
        ("postgresql://u:hunter2@h/d?schema=", "name of a schema"),
        (f"postgresql://u:hunter2@h/d?schema={'x' * 64}", "1 to 63 bytes"),
        ("postgresql://u:hunter2@h/d?prepare=maybe", "prepare='maybe' is none of auto, on, off"),
        ("postgresql://u:hunter2@h/d?pool_max=0", "at least one"),
        ("postgresql://u:hunter2@h/d?pool_min=5&pool_max=4", "pool_min <= pool_max"),
        ("postgresql://u:hunter2@h/d?pool_max=-1", "whole number"),
        ("postgresql://u:hunter2@h/d?pool_timeout=soon", "seconds"),
        ("postgresql://u:hunter2@h/d?statement_timeout=5%20years", "milliseconds, or a number with"),
        ("postgresql://u:hunter2@h/d?options=-csearch_path%3D%22%24user%22%2Cpublic", "say schema=NAME"),
        ("postgresql://u:hunter2@h/d?options=-csearch_path%3DNot_Lower", "say schema=NAME"),
        ("postgresql://u:hun%zzter2@h/d", "cannot be read"),
        ("postgresql://u:hunter2@h/d\0", "NUL"),
        ("postgresql+psycopg://u:hunter2@h/d", "'postgresql\\+psycopg' is not known"),
        ("password='hunter2", "neither a URL .* nor key=value"),
        ("postgresql://u:a?hunter2=b@h/d", "special characters of user and password as %XX"),
        ("hunter2", "neither a URL"),
    ],
)
def test_what_cannot_be_right_is_said_without_the_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        place_of(url)

    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_user_with_an_at_sign_may_be_an_option() -> None:
    assert libpq(place_of("postgresql://h/d?user=me@server"))["user"] == "me@server"


def test_a_place_is_shown_without_its_password() -> None:
    place = place_of(f"postgresql://u:{SECRET}@h/d?sslpassword={SECRET}")

    assert SECRET not in repr(place)
    assert SECRET not in place.name
    assert libpq(place)["password"] == SECRET


def test_without_the_driver_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "try:\n    import perdure.storage.postgres.connections\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("PerdureError Postgres needs psycopg")
    assert "pip install 'perdure[postgres]'" in done.stdout
