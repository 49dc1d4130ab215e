//! What goes wrong below, as whoever asks is told.

use strongroom_barrier::{BarrierError, ViewError};
use strongroom_http::StatusCode;
use strongroom_kv::KvError;
use strongroom_storage::StorageError;
use strongroom_token::TokenError;
use strongroom_transit::TransitError;

use crate::exchange::Fault;

/// The fault of a view. What the storage says about itself holds no value, and whoever asks has to know it to help.
pub(crate) fn of_view(error: ViewError) -> Fault {
    match error {
        ViewError::Barrier(BarrierError::Sealed) => Fault::sealed(),
        ViewError::Barrier(error) => Fault::internal(error.to_string()),
        ViewError::Storage(error) => of_storage(&error),
    }
}

fn of_storage(error: &StorageError) -> Fault {
    let status = match error {
        StorageError::Unavailable(_) | StorageError::Unknown(_) | StorageError::Full => StatusCode::SERVICE_UNAVAILABLE,
        StorageError::Refused(_) => StatusCode::PAYLOAD_TOO_LARGE,
        StorageError::Damaged(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Fault::new(status, error.to_string())
}

/// The fault of a secret with or without versions. A version that is gone has data of its own, which the engine adds.
pub(crate) fn of_kv(error: KvError) -> Fault {
    match error {
        KvError::Absent | KvError::Gone(_) => Fault::absent(),
        KvError::Mismatch | KvError::CasRequired | KvError::Invalid(_) => Fault::invalid(error.to_string()),
        KvError::Busy => Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        KvError::View(error) => of_view(error),
    }
}

/// The fault of a token.
pub(crate) fn of_token(error: TokenError) -> Fault {
    match error {
        TokenError::Unknown => Fault::new(StatusCode::FORBIDDEN, "bad token"),
        TokenError::Elsewhere => Fault::bad_token(),
        TokenError::Invalid(_) => Fault::invalid(error.to_string()),
        TokenError::NoRandomness => Fault::internal(error.to_string()),
        TokenError::Busy => Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        TokenError::View(error) => of_view(error),
    }
}

/// The fault of a key that does something for others.
pub(crate) fn of_transit(error: TransitError) -> Fault {
    match error {
        TransitError::Invalid(words) => Fault::invalid(words),
        TransitError::Failed(_) => Fault::internal(error.to_string()),
    }
}
