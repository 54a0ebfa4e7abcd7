//! All integration tests in one binary: one link, one run.
mod architecture;
mod morphisms;
mod networks;
mod space;
mod support;
