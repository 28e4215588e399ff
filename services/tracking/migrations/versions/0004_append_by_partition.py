"""Appends name each partition once; what is refused goes by a function of its own."""

from alembic import op

revision = "0004"
down_revision = "0003"

# ``sizes[i]`` rows of partition i follow each other in ``counts`` (numbers with commas between, as
# parsing them here costs less than arrays do on the client) and ``bodies``. Partitions come in the
# order of their names: two appends never wait for each other in a circle.
APPEND = """
CREATE FUNCTION log_append(
  partitions text[], workspaces uuid[], sizes int[], counts text, bodies bytea[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  numbers int[] := string_to_array(counts, ',');
  done int := 0;
  last bigint;
BEGIN
  FOR i IN 1 .. coalesce(cardinality(partitions), 0) LOOP
    PERFORM pg_advisory_xact_lock(hashtextextended('log:' || partitions[i], 0));
    PERFORM set_config('app.workspace_id', workspaces[i]::text, true);
    INSERT INTO log_partition (name, workspace_id, end_offset)
      VALUES (partitions[i], workspaces[i], sizes[i])
      ON CONFLICT (name) DO UPDATE SET end_offset = log_partition.end_offset + sizes[i]
      RETURNING end_offset INTO last;
    INSERT INTO log (partition, "offset", workspace_id, count, received_at, data)
      SELECT partitions[i], last - sizes[i] + g.n, workspaces[i], g.c, clock_timestamp(), g.b
      FROM unnest(numbers[done + 1 : done + sizes[i]], bodies[done + 1 : done + sizes[i]])
        WITH ORDINALITY AS g(c, b, n);
    PERFORM pg_notify('log', partitions[i]);
    done := done + sizes[i];
  END LOOP;
END $$
"""

QUARANTINE = """
CREATE FUNCTION quarantine_append(
  workspaces uuid[], sources text[], reasons text[], pointers text[], details text[],
  raws bytea[], origins bytea[], plans text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  part record;
BEGIN
  FOR part IN SELECT DISTINCT w AS workspace FROM unnest(workspaces) AS g(w) ORDER BY w LOOP
    PERFORM set_config('app.workspace_id', part.workspace::text, true);
    INSERT INTO quarantine
      (workspace_id, source_id, received_at, reason, pointer, detail, raw, origin, violations)
      SELECT g.w, g.s, clock_timestamp(), g.r, g.p, g.d, g.b, g.o, g.v
      FROM unnest(workspaces, sources, reasons, pointers, details, raws, origins, plans)
        AS g(w, s, r, p, d, b, o, v)
      WHERE g.w = part.workspace;
  END LOOP;
END $$
"""

_BEFORE = (
    "text[], uuid[], int[], bytea[], uuid[], text[], text[], text[], text[], bytea[], bytea[], "
    "text[]"
)


def upgrade() -> None:
    op.execute(f"DROP FUNCTION log_append({_BEFORE})")
    op.execute(APPEND)
    op.execute(QUARANTINE)
