"""The domain of Calv-a-lot: signals, planning, orders and books; nothing of Home Assistant."""
