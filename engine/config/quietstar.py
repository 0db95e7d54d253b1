"""What a run of phase 3 may be told."""

from __future__ import annotations

from engine.config.load import Config
from engine.config.quietstar_bake import Bake, Champion, Data
from engine.config.quietstar_rl import AntiTheater, Pretrain, Rl


class QuietstarConfig(Config):
    """Phase 3."""

    champion: Champion = Champion()
    data: Data = Data()
    pretrain: Pretrain = Pretrain()
    bake: Bake = Bake()
    rl: Rl = Rl()
    antitheater: AntiTheater = AntiTheater()
