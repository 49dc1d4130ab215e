//! Those who keep root keys of stores that open themselves, beside a file ([`crate::seal::FileSeal`]).

mod aws_kms;
mod transit;

pub(crate) use aws_kms::AwsKms;
pub(crate) use transit::Transit;
