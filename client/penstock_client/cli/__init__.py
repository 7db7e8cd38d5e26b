"""The `penstock` command: the producer's side. Other distributions add theirs as plug-ins."""
