"""Tracking and the orchestrator as an erasure sees them, served over HTTP from memory."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from fastapi import APIRouter, Response

from services.contracts.erasure import (
    Compacted,
    PersonErasure,
    PersonExport,
    PersonRemoval,
    Removed,
    ServiceErasure,
    StoreReport,
    SubjectsLift,
)


@dataclass
class Neighbours:
    """``finished``: whether tracking is through with what it was asked; ``away``: by service."""

    asked: list[PersonErasure] = field(default_factory=list)
    removals: list[PersonRemoval] = field(default_factory=list)
    exports: list[PersonExport] = field(default_factory=list)
    lifted: list[UUID] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    finished: bool = True
    events: bytes = b"message_id\n"
    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    _id: UUID = field(default_factory=uuid4)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/internal/v1")
        self._serve_tracking(router)
        self._serve_orchestrator(router)
        return router

    def _serve_tracking(self, router: APIRouter) -> None:
        @router.post("/erasures", response_model=None)
        async def erase_events(body: PersonErasure) -> ServiceErasure | Response:
            if "tracking" in self.away:
                return Response(status_code=503)
            self.asked.append(body)
            return self._erasure("suppressed")

        @router.get("/erasures/{erasure_id}", response_model=None)
        async def read_erasure(erasure_id: UUID) -> ServiceErasure | Response:
            if "tracking" in self.away:
                return Response(status_code=503)
            assert erasure_id == self._id
            return self._erasure("finished" if self.finished else "hidden")

        @router.post("/suppressions/lift")
        async def lift(body: SubjectsLift) -> dict[str, int]:
            self.lifted += body.subject_ids
            return {"lifted": len(body.subject_ids)}

        @router.post("/exports/person")
        async def events(body: PersonExport) -> Response:
            self.exports.append(body)
            return Response(self.events, media_type="text/csv")

    def _serve_orchestrator(self, router: APIRouter) -> None:
        @router.post("/erase", response_model=None)
        async def remove(body: PersonRemoval) -> Removed | Response:
            if "orchestrator" in self.away:
                return Response(status_code=503)
            self.removals.append(body)
            return Removed(stores=[StoreReport(store="message", erased=2)])

        @router.post("/compact")
        async def compact() -> Compacted:
            return Compacted(compacted=True)

        @router.post("/export", response_model=None)
        async def export(body: PersonExport) -> dict[str, list[dict[str, str]]] | Response:
            if "orchestrator" in self.away:
                return Response(status_code=503)
            return self.rows

    def _erasure(self, state: str) -> ServiceErasure:
        done = state == "finished"
        stores = [StoreReport(store="log", erased=3)] if done else []
        return ServiceErasure(
            id=self._id, state=state, verified=True if done else None, stores=stores
        )
