//! The kinds as the API server and people see them.

mod cluster;
mod crds;
mod problems;
mod reading;
mod surface;
