//! What goes wrong below, as whoever asks is told.

use strongroom_barrier::{BarrierError, ViewError};
use strongroom_http::StatusCode;
use strongroom_storage::StorageError;

use crate::exchange::Fault;

/// The fault of a view. What the storage says about itself holds no value, and whoever asks has to know it to help.
pub fn of_view(error: ViewError) -> Fault {
    match error {
        ViewError::Barrier(BarrierError::Sealed) => Fault::sealed(),
        ViewError::Barrier(error) => Fault::internal(error.to_string()),
        ViewError::Storage(error) => of_storage(&error),
    }
}

fn of_storage(error: &StorageError) -> Fault {
    let status = match error {
        StorageError::Unavailable(_) | StorageError::Unknown(_) | StorageError::Full => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        StorageError::Refused(_) => StatusCode::PAYLOAD_TOO_LARGE,
        StorageError::Damaged(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Fault::new(status, error.to_string())
}
