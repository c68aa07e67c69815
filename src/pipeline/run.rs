//! Wiring: frames, decoder, shards, join.
