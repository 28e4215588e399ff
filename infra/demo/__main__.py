"""``python -m infra.demo``: the whole story on an instance of its own, from raw files to mail.

Exit codes: 0 every number is as the raw files say, 1 one is not or a step failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from infra.demo import picture, story
from infra.demo.api import Api
from infra.demo.check import expected
from infra.demo.generator import generate
from infra.demo.home import FILES, missing, settled
from infra.demo.instance import DemoFailed, Instance
from infra.demo.settings import DemoSettings
from infra.demo.sink import Sink
from infra.demo.summary import Summary


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.demo")
    parser.add_argument("--data", type=Path, help="directory with " + ", ".join(FILES))
    parser.add_argument("--people", type=int, default=1000, help="how many to invent (1000)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    data_dir = DemoSettings().data_dir.absolute()
    out = data_dir / "demo"
    out.mkdir(parents=True, exist_ok=True)
    try:
        data = _input(arguments.data, out, arguments.people)
        say("Starting an instance …")
        with Sink() as sink, settled(data, data_dir) as (instance, home):
            summary = tell(data, out, instance, sink)
    except DemoFailed as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    (out / "summary.json").write_text(json.dumps(summary.document(), indent=2) + "\n")
    (out / "summary.txt").write_text(summary.text())
    print(f"\n{summary.text()}\nPictures: {out}\n`make run DATA_DIR={home}` shows the data again.")
    return 1 if summary.differences() else 0


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def say(line: str) -> None:
    print(line, flush=True)


def _input(given: Path | None, out: Path, people: int) -> Path:
    data = given or out / "input"
    if given is None:
        say(f"Inventing {people:,} people …")
        generate(data, people)
    if absent := missing(data):
        raise DemoFailed(f"{data} has no {', '.join(absent)}")
    return data.absolute()


def tell(data: Path, out: Path, instance: Instance, sink: Sink) -> Summary:
    """The story itself; writes the pictures into `out`."""
    with Api(instance) as api:
        say("Asking the raw files …")
        check = expected(data)
        say("Importing …")
        first = story.import_all(data, instance, out)
        person = story.somebody(data)
        visible = story.await_visible(api, instance, person)
        counts = story.counts(api)
        say("Drawing the map …")
        drawn = story.make_map(api)
        (out / "map.svg").write_text(drawn["picture"], encoding="utf-8")
        steps = story.offer_funnel(api)
        bars = [picture.Step(step["name"], step["people"]) for step in steps]
        (out / "funnel.svg").write_text(picture.funnel("Offers", bars), encoding="utf-8")
        say("Replaying the journey …")
        journey_id = story.publish_journey(api, sink.port)
        journey = story.replay(api, journey_id)
        say("Importing the same files again …")
        again = story.import_all(data, instance, out)
        story.await_visible(api, instance, person)
        return Summary(
            check=check,
            first=first,
            again=again,
            visible_seconds=visible,
            counts=counts,
            counts_again=story.counts(api),
            journey_id=journey_id,
            journey=journey,
            sink_messages=len(sink.received),
            sink_repeated=sink.repeated(),
            map_id=drawn["id"],
            funnel=steps,
        )


if __name__ == "__main__":
    sys.exit(main())
