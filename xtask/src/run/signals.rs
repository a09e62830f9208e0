//! Ctrl-C and its kin: they set a flag, and whoever waits looks at it, so that the clean-up always runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on, the signals that end a program only set the flag.
pub(super) fn catch() -> Result<()> {
    // Without SA_RESTART: what sleeps or waits in the kernel returns and can look at the flag.
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler does nothing but store to an atomic, which is allowed in a signal handler.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("{signal} cannot be caught"))?;
    }
    Ok(())
}

extern "C" fn note(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether someone asked for the end.
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// An error if someone asked for the end.
pub(super) fn check() -> Result<()> {
    if interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

/// Asks again and again until the answer is there, the time is over (`None`), or someone asks for the end (an error).
pub(super) fn wait_until<T>(limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        check()?;
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
