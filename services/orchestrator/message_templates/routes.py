"""Message templates over HTTP."""

from http import HTTPStatus
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import func

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import MessageTemplateNotFound
from services.orchestrator.message_templates import render, store
from services.orchestrator.message_templates.extras import Extras, check_extras
from services.orchestrator.message_templates.mail import compile_mjml, render_mail
from services.orchestrator.message_templates.store import MessageTemplate
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/message-templates",
    tags=["message-templates"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)

Source = Annotated[str, Field(max_length=render.MAX_SOURCE)]


class MessageTemplateCreate(BaseModel):
    """Liquid sources. Variables: `profile` (`id`, `user_id`, `email`, `traits`), `event` (`name`,
    `occurred_at`, `properties`) and `journey` (`name`)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Offer reminder",
                    "subject": "Your offer is still waiting",
                    "text": "Hello {{ profile.traits.first_name | default: 'there' }},\n"
                    "offer {{ event.properties.offer_id }} is still open.",
                    "html": "<p>Hello {{ profile.traits.first_name | default: 'there' }}</p>",
                }
            ]
        },
    )

    name: str = Field(min_length=1, max_length=200)
    subject: str = Field(min_length=1, max_length=2_000)
    text: Source | None = Field(
        None, description="Left out, it is what the html says, links as `words (address)`."
    )
    html: Source | None = Field(
        None,
        description="Values are HTML-escaped unless `| safe`. Rules of `<style>` are written into "
        "the elements as it is sent.",
    )
    mjml: Source | None = Field(
        None,
        description="Instead of `html`: MJML, Liquid and all, compiled as it is saved. It names no "
        "files (`mj-include`).",
    )
    extras: Extras | None = Field(None, description="What only some kinds of channels read.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.html is not None and self.mjml is not None:
            raise ValueError("`html` is made from `mjml`: give one of them")
        if self.text is None and self.html is None and self.mjml is None:
            raise ValueError("give `text`, `html` or `mjml`")
        return self


class PreviewRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "profile": {"user_id": "crm-42", "traits": {"first_name": "Ada"}},
                    "event": {"name": "Offer Viewed", "properties": {"offer_id": "o-1"}},
                }
            ]
        },
    )

    profile: dict[str, Any] = Field(default_factory=dict)
    event: dict[str, Any] = Field(default_factory=dict)
    journey: dict[str, Any] = Field(default_factory=dict)


class Preview(BaseModel):
    subject: str
    text: str
    html: str | None


def _checked(body: MessageTemplateCreate) -> dict[str, Any]:
    """What is stored of it; raises ``InvalidRequest``."""
    stored = body.model_dump()
    try:
        for part in ("subject", "text", "html"):
            if stored[part] is not None:
                render.check(part, stored[part])
        if body.mjml is not None:
            stored["html"] = compile_mjml(body.mjml)
            _check_compiled(stored["html"])
        if body.extras is not None:
            check_extras(body.extras.model_dump())
    except render.TemplateInvalid as error:
        raise InvalidRequest.at(f"#/{error.part}", error.detail) from error
    return stored


def _check_compiled(html: str) -> None:
    try:
        render.check("html", html)
    except render.TemplateInvalid as error:
        raise render.TemplateInvalid("mjml", error.detail) from error


async def _find(session: Session, template_id: UUID) -> MessageTemplate:
    found = await store.find(session, template_id)
    if found is None:
        raise MessageTemplateNotFound(f"Message template {template_id} does not exist.")
    return found


@router.post("", status_code=HTTPStatus.CREATED, summary="Create a message template")
async def create_message_template(
    body: MessageTemplateCreate, new_id: NewId, caller: UserCaller, session: Session
) -> MessageTemplate:
    """The Liquid sources are checked as they are saved."""
    values = {"id": new_id, **_checked(body)}
    return await store.add(session, caller.workspace_id, values)


@router.get("", summary="List message templates, newest first")
async def list_message_templates(session: Session, paging: PagingParams) -> Page[MessageTemplate]:
    """Without archived ones."""
    found = await store.page(session, after_id(paging), paging.limit + 1)
    return page_of(found, paging.limit)


@router.get(
    "/{template_id}",
    summary="Read a message template",
    responses=problem_responses(MessageTemplateNotFound),
)
async def read_message_template(template_id: UUID, session: Session) -> MessageTemplate:
    """Its Liquid sources as they were saved."""
    return await _find(session, template_id)


@router.put(
    "/{template_id}",
    summary="Replace a message template",
    responses=problem_responses(MessageTemplateNotFound),
)
async def replace_message_template(
    template_id: UUID, body: MessageTemplateCreate, session: Session
) -> MessageTemplate:
    """Messages that were already rendered go out as they are."""
    values = _checked(body)
    await _find(session, template_id)
    found = await store.change(session, template_id, values)
    assert found is not None
    return found


@router.delete(
    "/{template_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Archive a message template",
    responses=problem_responses(MessageTemplateNotFound),
)
async def archive_message_template(template_id: UUID, session: Session) -> Response:
    """Journeys that are already published go on using it."""
    await _find(session, template_id)
    await store.change(session, template_id, {"archived_at": func.now()})
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    "/{template_id}/preview",
    summary="Render a message template with given values",
    responses=problem_responses(MessageTemplateNotFound),
)
async def preview_message_template(
    template_id: UUID, body: PreviewRequest, session: Session
) -> Preview:
    """What a message would say to the person and event you give; nothing is sent."""
    found = await _find(session, template_id)
    source = render.Parts(found.subject, found.text, found.html)
    try:
        parts = render_mail(source, body.model_dump())
    except render.TemplateInvalid as error:
        raise InvalidRequest.at(f"#/{error.part}", error.detail) from error
    return Preview(subject=parts.subject, text=parts.text or "", html=parts.html)
