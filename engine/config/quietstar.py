"""What a run of phase 3 may be told."""

from __future__ import annotations

from engine.config.load import Config
from engine.config.quietstar_rl import AntiTheater, Pretrain, Rl


class QuietstarConfig(Config):
    """Phase 3."""

    pretrain: Pretrain = Pretrain()
    rl: Rl = Rl()
    antitheater: AntiTheater = AntiTheater()
