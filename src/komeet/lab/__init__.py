"""What tries things out: drills of a gateway, and whatever else is judged by an experiment."""
