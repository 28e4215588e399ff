"""Where a log on the Kafka protocol lies, as its DSN tells, and how its topics are named. Pure."""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from services.tracking.log.port import is_outcomes, workspace_of

FORM = "kafka://host:9092,host:9092/prefix"
_BROKER = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_BROKERS = re.compile(rf"{_BROKER}(,{_BROKER})*")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,150}")
_OUTCOMES = ".outcomes"
_SECURITY = frozenset(
    {
        "security.protocol",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
    }
)
"""Options that go on to librdkafka under its own names."""
OWN_OPTIONS = ("replication", "min_insync", "create_topics")


@dataclass(frozen=True, slots=True)
class Target:
    servers: str
    prefix: str
    replication: int = 3
    min_insync: int = 2
    """Replicas that hold a row before it is acknowledged, of ``replication``."""
    create_topics: bool = True
    """False: topics are made by somebody else, or by the broker on their first use."""
    security: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def client(self) -> dict[str, str | int | float | bool]:
        """What every client of librdkafka is told."""
        return {
            "bootstrap.servers": self.servers,
            "client.id": "waymark",
            # The default of 10 s would be added to every outage.
            "reconnect.backoff.max.ms": 1000,
            # Its warnings go to standard error past our log; failures reach us by every call.
            "log_level": 2,
            **self.security,
        }

    def topic(self, partition: str) -> str:
        suffix = _OUTCOMES if is_outcomes(partition) else ""
        return f"{self.prefix}.{workspace_of(partition)}{suffix}"

    def partition(self, topic: str) -> str | None:
        """None for a topic that is not ours."""
        if not topic.startswith(f"{self.prefix}."):
            return None
        name = topic.removeprefix(f"{self.prefix}.").replace(_OUTCOMES, ":outcomes")
        try:
            return name if self.topic(name) == topic else None
        except ValueError:
            return None


def parse(dsn: str) -> Target:
    """``ValueError`` naming what is wrong and what is accepted."""
    url = urlsplit(dsn)
    prefix = url.path.strip("/")
    if url.scheme != "kafka" or not _BROKERS.fullmatch(url.netloc):
        raise ValueError(f"{FORM} is accepted; names and passwords go into its query")
    if url.fragment:
        raise ValueError("what follows # would be lost; write %23 for it")
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"{FORM} is accepted; the prefix has 1 to 150 letters, digits, '.', '_' and '-'"
        )
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    security = {name: options.pop(name) for name in _SECURITY & options.keys()}
    if unknown := sorted(options.keys() - set(OWN_OPTIONS)):
        accepted = ", ".join((*OWN_OPTIONS, *sorted(_SECURITY)))
        raise ValueError(f"unknown option {unknown[0]!r}; accepted are {accepted}")
    replication = _count(options, "replication", 3)
    min_insync = _count(options, "min_insync", min(2, replication))
    if min_insync > replication:
        raise ValueError("min_insync may not be more than replication")
    create = options.get("create_topics", "true")
    if create not in ("true", "false"):
        raise ValueError("create_topics is true or false")
    return Target(url.netloc, prefix, replication, min_insync, create == "true", security)


def _count(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not (text.isdecimal() and 1 <= int(text) <= 99):
        raise ValueError(f"{name} is a number from 1 to 99")
    return int(text)
