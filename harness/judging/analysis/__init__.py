"""Statistics on plain numbers: pure, and importing nothing of ours."""
