"""What Google Cloud needs besides a row: service accounts, and addresses that name a project and a location."""
