//! `citronade.measurement.v1`.
