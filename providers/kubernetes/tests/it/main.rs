//! Secrets and other objects, against a real API server.

#![cfg(test)]

mod cluster;
mod faults;
mod logins;
mod objects;
mod push;
mod secrets;
