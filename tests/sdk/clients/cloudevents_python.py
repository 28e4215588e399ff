"""The CloudEvents SDK for Python, which makes requests and leaves it to others to send them."""

import base64
import urllib.request

from cloudevents.core.bindings.http import (
    HTTPMessage,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.sdk.clients.story import ORDER, ORDERED_AT, RUN, end, report


def event(name: str, **person: str) -> CloudEvent:
    (who,) = person.values()
    attributes = {"id": f"{name}-{who}", "source": "https://shop.example", "type": name}
    return CloudEvent({**attributes, **person, "time": ORDERED_AT}, ORDER)


def batch(*events: CloudEvent) -> HTTPMessage:
    """The SDK has no function for it; the mode's body is a list of its structured events."""
    content = b"[%b]" % b",".join(JSONFormat().write(each) for each in events)
    return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, content)


def send(message: HTTPMessage) -> None:
    key = base64.b64encode(f"{RUN['key']}:".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the test's own address
        f"{RUN['url']}/v1/cloudevents", message.body, {**message.headers}, method="POST"
    )
    request.add_header("Authorization", f"Basic {key}")
    try:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
    except OSError as error:
        report(error)


user, visitor = {"subject": RUN["user"]}, {"anonymousid": RUN["visitor"]}
ordered = event("com.example.order", **user)
send(to_binary_event(ordered))
send(to_structured_event(ordered))
send(to_structured_event(event("com.example.shipped", **user)))
send(batch(ordered, event("com.example.paid", **user), event("com.example.seen", **visitor)))
end()
