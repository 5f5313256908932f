"""Addresses are shown without what opens them."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from pipeline.database_addresses import (
    is_postgres,
    plain_address,
    sqlite_address,
    sqlite_file,
    without_password,
)
from pipeline.databases import first_line
from pipeline.errors import ConfigError

ODD = ["a b", "Öl", "#1", "100%", "%zz", "a'b", 'a"b', "(a)", "a&b", "+", ";", "-x", "[a]", "{a}"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ann:secret@db:5432/studies", "postgresql://ann:***@db:5432/studies"),
        ("http://ann:secret@host:5000", "http://ann:***@host:5000"),
        ("postgresql://ann:se/cr@et@db/studies", "postgresql://ann:***@db/studies"),
        ("postgresql://:secret@db/studies", "postgresql://:***@db/studies"),
        ("postgresql://ann@db/x?password=secret&a=1", "postgresql://ann@db/x?password=***&a=1"),
        ("postgresql://db/x?sslpassword=secret", "postgresql://db/x?sslpassword=***"),
    ],
)
def test_a_password_is_not_shown(address, shown):
    assert without_password(address) == shown


@pytest.mark.parametrize(
    "address", ["auto", "sqlite:///mlflow.db", "http://host:5000", "postgresql://ann@db/x"]
)
def test_an_address_without_a_password_is_shown_as_it_is(address):
    assert without_password(address) == address


@pytest.mark.parametrize("address", ["postgres://db/x", "sqlite:///postgresql.db", "auto"])
def test_another_address_is_no_postgresql(address):
    assert not is_postgres(address)


def test_what_a_server_said_becomes_one_line():
    assert first_line(ValueError(" FATAL:  no such\tthing.\nHINT: none")) == "FATAL: no such thing"
    assert first_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("name", ODD)
def test_an_address_names_its_file_and_sqlalchemy_opens_that(name):
    file = Path("/data", name, "mlflow.db")
    address = sqlite_address(file)
    assert sqlite_file(address) == file
    assert make_url(address).database == str(file)
    assert sqlite_file(make_url(address).render_as_string()) == file
    assert plain_address(make_url(address).render_as_string()) == address


@pytest.mark.parametrize("coded", ["sqlite:////a%3Fb/x.db", "sqlite:///a%2520b/x.db"])
def test_an_address_of_a_path_that_mlflow_misreads_is_refused(coded):
    with pytest.raises(ConfigError, match=r"must have no \?, no % before .* Received: '/?a"):
        plain_address(coded)


def test_an_address_that_is_no_files_stays_as_it_is():
    for address in ("postgresql://ann:%20@db/x?a=1", "http://host:5000/?", "sqlite:///", "auto"):
        assert plain_address(address) == address
