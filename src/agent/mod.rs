//! The half that runs on the device: one JSON request a line in, one answer a line out.
