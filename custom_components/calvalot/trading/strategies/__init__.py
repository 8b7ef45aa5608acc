"""Rules as text: read strictly, said as a sentence, evaluated candle by candle."""
