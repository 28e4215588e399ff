"""PostHog's client for Python."""

from posthog import Posthog

from tests.sdk.clients.story import ORDER, ORDERED_AT, RUN, TRAITS, end, report

client = Posthog(RUN["key"], host=RUN["url"], gzip=RUN["options"]["gzip"], on_error=report)
user = RUN["user"]
client.set(distinct_id=user, properties=TRAITS)
client.capture("Order Completed", distinct_id=user, properties=ORDER, timestamp=ORDERED_AT)
client.capture(
    "Product Viewed",
    distinct_id=RUN["visitor"],
    properties={"sku": "s1", "$process_person_profile": False},
)
page = {"$current_url": "https://shop.example/home", "title": "Home"}
client.capture("$pageview", distinct_id=user, properties=page)
client.group_identify("company", RUN["group"], {"name": "Acme"})
client.alias(RUN["before"], user)
client.shutdown()
end()
