#!/bin/sh
# Creates every service's database and roles at the first start of the PostgreSQL container.
# Passwords reach psql as variables: service.sql quotes them.
set -eu
service() {
  psql --no-psqlrc --username "$POSTGRES_USER" --dbname postgres \
    --set service="$1" --set owner_password="$2" --set app_password="$3" \
    --file /waymark/service.sql
}
service gateway "$GATEWAY_OWNER_PASSWORD" "$GATEWAY_APP_PASSWORD"
service tracking "$TRACKING_OWNER_PASSWORD" "$TRACKING_APP_PASSWORD"
service profile "$PROFILE_OWNER_PASSWORD" "$PROFILE_APP_PASSWORD"
service orchestrator "$ORCHESTRATOR_OWNER_PASSWORD" "$ORCHESTRATOR_APP_PASSWORD"
service assessment "$ASSESSMENT_OWNER_PASSWORD" "$ASSESSMENT_APP_PASSWORD"
