//! What signals tell a program that stays: to end, or to do its work again.

use std::time::Duration;

use crate::resolving::{Resolving, SetupError, failing, wait_aside};
use crate::signals::SignalSet;
use crate::system;

/// What a signal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `SIGTERM` or `SIGINT`: it is over.
    End,
    /// `SIGUSR1` or `SIGHUP`: do it now.
    Again,
}

impl Resolving {
    /// From now on a small thread hands each order to `hear`. After [`Order::End`] the program ends with 0: by itself, or
    /// by that thread after `patience`, or at once with the next signal, whatever the program does meanwhile. Any other
    /// signal that would kill ends it at once with `128+n`, also as the first process of a container.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn obey(&mut self, patience: Duration, hear: impl Fn(Order) + Send + 'static) -> Result<(), SetupError> {
        wait_aside(move || listen(patience, &hear)).map_err(failing("wait for signals"))
    }
}

fn listen(patience: Duration, hear: &dyn Fn(Order)) {
    loop {
        // All of these have been blocked since the program began.
        let Some(received) = system::wait(SignalSet::ending(), None) else { continue };
        match received.signal() {
            libc::SIGTERM | libc::SIGINT => {
                hear(Order::End);
                // Whatever comes now only makes it sooner.
                let _ = system::wait(SignalSet::ending(), Some(patience));
                system::exit_at_once(0)
            }
            libc::SIGUSR1 | libc::SIGHUP => hear(Order::Again),
            other => system::exit_at_once(system::killed_code(other)),
        }
    }
}
