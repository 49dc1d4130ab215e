//! `strongroom admission`, called by a real API server as pods and objects are created.

mod faults;
mod native;
mod pods;
mod reviews;
pub(crate) mod support;
mod validation;
