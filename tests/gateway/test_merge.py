"""Merging documents of services into one."""

from typing import Any

import pytest

from gateway.merge import NotRouted, merge


def _part(paths: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {"paths": paths, "components": {"schemas": schemas}}


def _get(name: str, answer: str | None = None, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    responses = {"200": {"description": "", **({"content": content} if answer else {})}}
    return {"get": {"operationId": name, "summary": name, "responses": responses, **more}}


def test_paths_of_all_services_stand_in_one_document() -> None:
    merged = merge(
        {
            "profile": _part({"/api/v1/segments": _get("a"), "/internal/v1/feed": _get("b")}),
            "orchestrator": _part({"/api/v1/journeys": _get("c")}),
        },
        "1.2",
    )
    assert list(merged["paths"]) == ["/api/v1/journeys", "/api/v1/segments"]
    assert merged["info"]["version"] == "1.2"


def test_a_path_the_gateway_does_not_route_there_is_an_error() -> None:
    with pytest.raises(NotRouted, match="journeys"):
        merge({"profile": _part({"/api/v1/journeys": _get("a")})}, "1")


def test_names_that_mean_two_things_are_told_apart_and_equal_ones_shared() -> None:
    number, text = {"type": "number"}, {"type": "string"}
    merged = merge(
        {
            "profile": _part(
                {"/api/v1/segments": _get("a", "Item"), "/api/v1/stages": _get("b", "Same")},
                Item=number,
                Same=text,
                Unused=text,
            ),
            "orchestrator": _part(
                {"/api/v1/journeys": _get("c", "Item"), "/api/v1/maps": _get("d", "Same")},
                Item=text,
                Same=text,
            ),
        },
        "1",
    )
    schemas = merged["components"]["schemas"]
    assert schemas == {"ProfileItem": number, "OrchestratorItem": text, "Same": text}
    answer = merged["paths"]["/api/v1/journeys"]["get"]["responses"]["200"]["content"]
    assert answer["application/json"]["schema"]["$ref"].endswith("/OrchestratorItem")


def test_operation_ids_are_short_and_unique() -> None:
    merged = merge(
        {
            "profile": _part({"/api/v1/segments": _get("list_all_api_v1_segments_get")}),
            "orchestrator": _part(
                {
                    "/api/v1/journeys": _get("list_all_api_v1_journeys_get"),
                    "/api/v1/maps/{map_id}": _get("read_map_api_v1_maps__map_id__get"),
                }
            ),
        },
        "1",
    )
    ids = [item["get"]["operationId"] for item in merged["paths"].values()]
    assert ids == ["list_all_api_v1_journeys_get", "read_map", "list_all_api_v1_segments_get"]


def test_each_operation_says_which_key_opens_it() -> None:
    post = {"post": _get("track")["get"]}
    merged = merge(
        {
            "tracking": _part(
                {"/v1/track": post, "/v1/track/": post, "/v1/t": post, "/api/v1/events": _get("a")}
            )
        },
        "1",
    )
    assert list(merged["paths"]) == ["/api/v1/events", "/v1/track"]
    operations = merged["paths"]
    assert operations["/api/v1/events"]["get"]["security"] == [{"secretKey": []}]
    names = [*operations["/v1/track"]["post"]["security"]]
    assert names == [{"writeKey": []}, {"writeKeyHeader": []}, {"writeKeyQuery": []}]
    assert {"401", "403", "503"} <= set(operations["/api/v1/events"]["get"]["responses"])


def test_links_of_messages_are_documented_as_open_to_everybody() -> None:
    merged = merge({"profile": _part({"/v1/unsubscribe/{token}": _get("show")})}, "1")
    assert merged["paths"]["/v1/unsubscribe/{token}"]["get"]["security"] == []
