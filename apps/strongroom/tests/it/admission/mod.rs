//! `strongroom admission`, called by a real API server as pods and objects are created.

mod native;
mod pods;
mod reviews;
mod support;
mod validation;
