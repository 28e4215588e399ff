"""RudderStack's client for Python."""

from rudderstack.analytics.client import Client

from tests.sdk.clients.story import HOME, ORDER, ORDERED_AT, RUN, TRAITS, end, report

client = Client(RUN["key"], host=RUN["url"], gzip=RUN["options"]["gzip"], on_error=report)
user = RUN["user"]
client.identify(user, TRAITS)
client.track(user, "Order Completed", ORDER, timestamp=ORDERED_AT)
client.track(None, "Product Viewed", {"sku": "s1"}, anonymous_id=RUN["visitor"])
client.page(user, "Docs", "Home", HOME)
client.screen(user, None, "Main", {"tab": 1})
client.group(user, RUN["group"], {"name": "Acme"})
client.alias(RUN["before"], user)
client.flush()
client.join()
end()
