"""The files of phase 3 in its work folder; their names are the source's."""

PHASE = "phase3-quietstar"
CHAMPION = "phase2_champion_model.pt"
BAKED = "phase3_baked_model.pt"
ENHANCED = "phase3_reasoning_enhanced_model.pt"
CHECKPOINT = "rl-checkpoint.pt"
BAD_BATCH = "rl-bad-batch.pt"
THEATER = "phase3_theater_model.pt"
