#!/bin/sh
# Creates the user that analytics queries run as: it reads, and can neither write nor reach files.
set -eu
clickhouse-client --user "$CLICKHOUSE_USER" --password "$CLICKHOUSE_PASSWORD" \
  --param_password="$CLICKHOUSE_READER_PASSWORD" --multiquery <<SQL
CREATE USER IF NOT EXISTS waymark_reader IDENTIFIED WITH sha256_password BY {password:String}
  SETTINGS readonly = 2;
GRANT SELECT ON $CLICKHOUSE_DB.* TO waymark_reader;
SQL
