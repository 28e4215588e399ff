"""A rule as a PostgreSQL condition over one row per profile."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json import dumps

from services.rules.binds import Binds, Compiled, ParamValue
from services.rules.bucket import bucket_postgres
from services.rules.canonical import literal
from services.rules.instants import PATTERN
from services.rules.leaves import oldest_ms
from services.rules.model import (
    All,
    AtLeast,
    Const,
    Expr,
    Held,
    Not,
    Rule,
    Sequence,
    Some,
    Test,
    Time,
    bounds,
)
from services.rules.sequence_sql import in_postgres

# Written by us, not taken from the rule: the only operators that reach SQL text.
_ORDER = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(frozen=True, slots=True)
class Columns:
    """SQL expressions, written by the calling service, for what a rule can read of a row `p`.

    `traits`, `computed`, `account`, `consents`: jsonb objects. `segments`: text[] of segment
    ids. `stage`: text. `leaf_state`: a table of (profile_id, leaf_id text, total bigint,
    recent bigint[] newest first, bucket_index bigint[], bucket_count bigint[]), the fields of
    `LeafState`, joined by `profile_id`. `held`: a table of (profile_id, rule_id text, entered_at
    timestamptz): since when inner rules hold, by `Held.key`.
    """

    traits: str = "p.traits"
    computed: str = "p.computed"
    account: str = "p.account"
    segments: str = "p.segments"
    stage: str = "p.stage"
    consents: str = "p.consents"
    profile_id: str = "p.profile_id"
    leaf_state: str = "leaf_state"
    held: str = "held"


DEFAULT = Columns()


def compile_postgres(
    rule: Rule, now_ms: int, *, columns: Columns = DEFAULT, prefix: str = "p"
) -> Compiled:
    """Return (condition, params) with `:p1` binds, true or false and never NULL.

    The condition goes into a WHERE; parameters are strings, integers or lists of strings.
    """
    binds = Binds.start(prefix)
    compiler = _Compiler(columns, binds, now_ms)
    return Compiled(compiler.expr(rule.root), binds.values)


@dataclass(frozen=True, slots=True)
class _Compiler:
    columns: Columns
    binds: Binds
    now_ms: int

    def expr(self, expr: Expr) -> str:
        match expr:
            case Const(value):
                return "true" if value else "false"
            case Not(child):
                return f"NOT {self.expr(child)}"
            case All(children):
                return "(" + " AND ".join(map(self.expr, children)) + ")"
            case Some(children):
                return "(" + " OR ".join(map(self.expr, children)) + ")"
            case AtLeast():
                return self.at_least(expr)
            case Sequence():
                person, table = self.columns.profile_id, self.columns.leaf_state
                return in_postgres(expr, self.now_ms, table, person, self.bind)
            case Held():
                return self.held(expr)
            case Test():
                return f"coalesce({self.test(expr)}, false)"

    def at_least(self, node: AtLeast) -> str:
        leaf, columns = node.leaf, self.columns
        enough = self.bind(node.n, "bigint")
        if leaf.last_ms is None:
            counted = f"s.total >= {enough}"
        elif leaf.keep:
            place = self.bind(node.n, "integer")
            counted = f"s.recent[{place}] >= {self.bind(oldest_ms(leaf, self.now_ms), 'bigint')}"
        else:
            first = self.bind(oldest_ms(leaf, self.now_ms) // leaf.width_ms, "bigint")
            buckets = "unnest(s.bucket_index, s.bucket_count) AS b(i, n)"
            # S608 sees SQL being formatted: the fragments are ours, every value is bound.
            counted = f"(SELECT sum(b.n) FROM {buckets} WHERE b.i >= {first}) >= {enough}"  # noqa: S608
        of_person = f"s.profile_id = {columns.profile_id}"
        of_leaf = f"s.leaf_id = {self.bind(leaf.leaf_id)} AND {counted}"
        return f"EXISTS (SELECT 1 FROM {columns.leaf_state} AS s WHERE {of_person} AND {of_leaf})"  # noqa: S608

    def held(self, node: Held) -> str:
        until = self.bind(_iso(1000 * (self.now_ms - node.for_ms)))
        of_person = (
            f"h.profile_id = {self.columns.profile_id} AND h.rule_id = {self.bind(node.key)}"
        )
        long_enough = f"{of_person} AND h.entered_at <= CAST({until} AS timestamptz)"
        return f"EXISTS (SELECT 1 FROM {self.columns.held} AS h WHERE {long_enough})"  # noqa: S608

    def test(self, test: Test) -> str:
        if test.source == "segment":
            return self.segment(test)
        if test.source == "stage":
            return self.stage(test)
        if test.source == "bucket":
            return self.bucket(test)
        documents = {
            "traits": self.columns.traits,
            "computed": self.columns.computed,
            "account": self.columns.account,
            "consent": self.columns.consents,
        }
        # `->` by text and not `#>`: the latter would read "0" as an index into a list.
        found = f"({' -> '.join([documents[test.source], *map(self.bind, test.path)])})"
        return self.json_test(found, test)

    def segment(self, test: Test) -> str:
        if isinstance(test.value, tuple):
            return f"{self.columns.segments} && {self.strings(test.value)}"
        return f"{self.bind(str(test.value))} = ANY({self.columns.segments})"

    def stage(self, test: Test) -> str:
        if test.op == "null":
            return f"{self.columns.stage} IS NULL"
        if isinstance(test.value, tuple):
            return f"{self.columns.stage} = ANY({self.strings(test.value)})"
        return f"{self.columns.stage} = {self.bind(str(test.value))}"

    def bucket(self, test: Test) -> str:
        if test.op == "between":
            return " AND ".join(map(self.bucket, bounds(test)))
        drawn = bucket_postgres(self.bind(test.path[0]), f"CAST({self.columns.profile_id} AS text)")
        return f"{drawn} {_ORDER[test.op]} {self.bind(int(str(test.value)), 'integer')}"

    def json_test(self, found: str, test: Test) -> str:
        value, kind, text = test.value, f"jsonb_typeof{found}", f"({found} #>> '{{}}')"
        if test.op == "null":
            return f"coalesce({kind} = 'null', true)"
        if test.op == "between":
            return f"({' AND '.join(self.json_test(found, part) for part in bounds(test))})"
        if isinstance(value, Time):
            return self.instant(kind, text, _ORDER[test.op], value)
        if isinstance(value, tuple):
            return f"({kind} IN ('string', 'number', 'boolean') AND {self.json(value)} @> {found})"
        if test.op == "=":
            return f"{found} = {self.json(value)}"
        if test.op == "contains":
            inside = f"({kind} = 'array' AND {found} @> {self.json(value)})"
            if not isinstance(value, str):
                return inside
            return f"({inside} OR ({kind} = 'string' AND strpos({text}, {self.bind(value)}) > 0))"
        if test.op in _ORDER and not isinstance(value, str):
            # jsonb against jsonb compares numbers as numeric and cannot fail on a cast.
            return f"({kind} = 'number' AND {found} {_ORDER[test.op]} {self.json(value)})"
        operand = self.bind(str(value))
        compared = {
            "beginsWith": f"starts_with({text}, {operand})",
            "endsWith": f"right({text}, length({operand})) = {operand}",
        }.get(test.op) or f'{text} COLLATE "C" {_ORDER[test.op]} {operand}'
        return f"({kind} = 'string' AND {compared})"

    def instant(self, kind: str, text: str, order: str, value: Time) -> str:
        # CASE, because AND may cast before it has looked: only admitted strings are cast.
        return (
            f"CASE WHEN {kind} = 'string' AND {text} ~ {self.bind(PATTERN)}"
            f" THEN CAST({text} AS timestamptz) {order}"
            f" CAST({self.bind(_iso(value.us))} AS timestamptz) ELSE false END"
        )

    def bind(self, value: ParamValue, type_: str = "text") -> str:
        return f"CAST(:{self.binds.name(value)} AS {type_})"

    def strings(self, values: tuple[object, ...]) -> str:
        return self.bind([str(value) for value in values], "text[]")

    def json(self, value: object) -> str:
        # Through text, so that no driver's own jsonb codec encodes it a second time.
        return f"CAST({self.bind(dumps(literal(value), ensure_ascii=False))} AS jsonb)"


def _iso(us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()
