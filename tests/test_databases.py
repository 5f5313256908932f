"""Addresses are shown without what opens them."""

import pytest

from pipeline.databases import first_line, is_postgres, without_password


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
