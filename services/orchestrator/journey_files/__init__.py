"""Journeys as files that teams keep in git: out, and in again with what would change."""
