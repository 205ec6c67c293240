"""The console: pages for those who run Komeet, served by a process of its own. For now one: how everything stands."""
