"""What can go wrong with maps."""

from http import HTTPStatus

from services.kit.problems import Problem


class MapNotFound(Problem):
    type = "/problems/map-not-found"
    title = "No such map"
    status = HTTPStatus.NOT_FOUND


class MapTemplateNotFound(Problem):
    type = "/problems/map-template-not-found"
    title = "No such map template"
    status = HTTPStatus.NOT_FOUND


class MapChanged(Problem):
    type = "/problems/map-changed"
    title = "The map was changed by somebody else"
    status = HTTPStatus.CONFLICT


class TouchpointNotFound(Problem):
    type = "/problems/touchpoint-not-found"
    title = "No such touchpoint on this map"
    status = HTTPStatus.NOT_FOUND
