//! YAML as `sigs.k8s.io/yaml` writes and reads it: through JSON, by the rules of YAML 1.1.

mod read;
mod resolve;
mod scalar;
mod write;

pub(crate) use self::read::read;
pub(crate) use self::write::write;
