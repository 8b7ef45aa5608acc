"""Kinds of source on Home Assistant's side: how each is asked for, checked and made."""
