"""The life of the store's files: backups, restoring, and what a doctor says of them."""
