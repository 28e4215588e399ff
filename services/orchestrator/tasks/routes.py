"""Tasks over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import TaskNotFound, TaskStateConflict
from services.orchestrator.paging import after_id, page_of
from services.orchestrator.tasks import service, store
from services.orchestrator.tasks.model import TaskDone, TaskState, TaskView

router = APIRouter(
    prefix="/api/v1/tasks",
    tags=["tasks"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.get("", summary="List tasks, newest first")
async def list_tasks(
    session: Session,
    paging: PagingParams,
    department: Annotated[str | None, Query(max_length=200)] = None,
    state: TaskState | None = None,
    journey_id: UUID | None = None,
) -> Page[TaskView]:
    """What journeys ask people to do: `state=open` is a department's list of what to do."""
    rows = await store.page(
        session,
        after_id(paging),
        paging.limit + 1,
        department=department,
        state=state,
        journey_id=journey_id,
    )
    return page_of([TaskView.model_validate(row) for row in rows], paging.limit)


@router.get("/{task_id}", summary="Read a task", responses=problem_responses(TaskNotFound))
async def read_task(task_id: UUID, session: Session) -> TaskView:
    """Whom it is about, whose it is, and what became of it."""
    return TaskView.model_validate(await service.get(session, task_id))


@router.put(
    "/{task_id}/outcome",
    summary="Say that a task is done",
    responses=problem_responses(TaskNotFound, TaskStateConflict),
)
async def do_task(
    task_id: UUID,
    body: TaskDone,
    request: Request,
    caller: UserCaller,
    session: Session,
    after: BackgroundTasks,
) -> TaskView:
    """The person goes on at once, the way that belongs to the outcome."""
    workers = request.state.workers
    row = await service.do(
        session,
        caller.workspace_id,
        workers.engine.executor.library,
        task_id,
        body,
        caller.subject,
        workers.engine.clock(),
    )
    # After the commit, or the executor would look too early.
    after.add_task(workers.wake_due, caller.workspace_id)
    return TaskView.model_validate(row)
