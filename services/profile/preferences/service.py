"""What the holder of a link may read and change."""

from uuid import UUID

from services.kit.postgres import workspace_tx
from services.kit.problems import InvalidRequest
from services.profile.consents import decide
from services.profile.consents import service as consents
from services.profile.consents.ledger import PERSONALISATION
from services.profile.consents.links import Kind, Link, LinkSigner
from services.profile.consents.policy import GROUP_PREFIX, is_group
from services.profile.consents.service import Desk, Picture, Wish
from services.profile.errors import LinkNotValid
from services.profile.preferences.model import LinkedConsent, Preferences, PreferencesPatch
from services.profile.subscriptions import service as subscriptions
from services.profile.subscriptions import store as groups

ACTOR = "link"


def open_link(signer: LinkSigner, desk: Desk, kind: Kind, token: str) -> Link:
    link = signer.read(kind, token, desk.clock.now().timestamp())
    if link is None:
        raise LinkNotValid("This link is not valid, or not any more. Use one of a newer message.")
    return link


async def linked(desk: Desk, link: Link) -> LinkedConsent:
    """Shows only; mail scanners open every link."""
    workspace_id, place = link.workspace_id, link.place
    async with workspace_tx(desk.speaker.sessionmaker, workspace_id) as session:
        whole = await consents.picture(session, workspace_id, link.profile_id)
        group = None
        if is_group(place.purpose):
            group_id = UUID(place.purpose.removeprefix(GROUP_PREFIX))
            group = await groups.find(session, workspace_id, group_id)
    presumed = place.purpose in whole.standing.presumed
    state = decide.decide(whole.said, place, presumed)
    if link.kind == "confirm" and place.purpose in whole.standing.pending:
        state = "pending"
    return LinkedConsent(
        purpose=place.purpose,
        channel=place.channel,
        group=group.names if group else None,
        state=state,
    )


async def unsubscribe(desk: Desk, link: Link) -> None:
    """In force when this returns, whether or not the ledger shows it yet."""
    wish = Wish(link.place, "withdrawn", {"actor": ACTOR})
    await consents.state(desk, link.workspace_id, link.profile_id, [wish])


async def confirm(desk: Desk, link: Link) -> None:
    """Grants what waits. A second click is fine; one after the person has said no is not."""
    async with workspace_tx(desk.speaker.sessionmaker, link.workspace_id) as session:
        whole = await consents.picture(session, link.workspace_id, link.profile_id)
    mine = {p: held for p, held in whole.said.items() if p.purpose == link.place.purpose}
    proof = {"actor": ACTOR, "confirmed": True}
    wishes = [Wish(place, "granted", proof) for place, held in mine.items() if held.waits]
    if wishes:
        await consents.state(desk, link.workspace_id, link.profile_id, wishes)
    elif decide.overall(mine).get(link.place.purpose) != "granted":
        raise LinkNotValid("Nothing waits for this confirmation any more.")


async def preferences(desk: Desk, link: Link) -> Preferences:
    return (await _page(desk, link))[1]


async def _page(desk: Desk, link: Link) -> tuple[Picture, Preferences]:
    async with workspace_tx(desk.speaker.sessionmaker, link.workspace_id) as session:
        whole = await consents.picture(session, link.workspace_id, link.profile_id)
        groups = await subscriptions.subscriptions(session, link.workspace_id, whole)
    purposes = {
        purpose: state
        for purpose, state in whole.standing.states.items()
        if purpose != PERSONALISATION and not is_group(purpose)
    }
    flag = whole.standing.non_personalised
    return whole, Preferences(groups=groups, purposes=purposes, non_personalised=flag)


async def change(desk: Desk, link: Link, said: PreferencesPatch) -> None:
    """All of it or nothing."""
    whole, shown = await _page(desk, link)
    groups_shown = {each.group_id: each for each in shown.groups}
    for group_id in said.groups:
        if group_id not in groups_shown:
            raise InvalidRequest.at(f"#/groups/{group_id}", "The page shows no such group.")
    for purpose in said.purposes:
        if purpose not in shown.purposes:
            raise InvalidRequest.at(f"#/purposes/{purpose}", "The page shows no such purpose.")
    wishes: list[Wish] = []
    for group_id, wanted in said.groups.items():
        group = groups_shown[group_id]
        wishes += subscriptions.wishes(whole.said, group, wanted, confirmed=False, actor=ACTOR)
    purposes = dict(said.purposes)
    if said.non_personalised is not None:
        purposes[PERSONALISATION] = not said.non_personalised
    for purpose, wanted in purposes.items():
        yes = consents.granting(whole.said, purpose, actor=ACTOR)
        wishes += yes if wanted else consents.withdrawing(purpose, actor=ACTOR)
    if wishes:
        await consents.state(desk, link.workspace_id, link.profile_id, wishes)
