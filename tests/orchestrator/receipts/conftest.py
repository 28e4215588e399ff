"""A provider's server, as the tests of kinds of channels use it."""

from tests.orchestrator.delivery.conftest import provider as provider
