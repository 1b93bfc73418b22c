"""What the plays share with other tests."""

from tests.handlers.conftest import empty_database as empty_database
