"""What carries backfills: a duty of the steward."""
