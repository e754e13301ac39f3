"""VI3NR's tables and figures (Hewa Koneputugodage, Ben-Shabat, Ramasinghe and Gould, CVPR 2025)."""
