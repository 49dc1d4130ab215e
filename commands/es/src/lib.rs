//! `strongroom es`, `strongroom why`, `strongroom crds`: looking at and mending what the operator serves.

#![forbid(unsafe_code)]
