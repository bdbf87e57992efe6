//! Freeing large values beside the window, which would stand still for it: the plan of a network of 10 000 layers is a
//! hundred thousand pieces of memory.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Frees `value` on a thread that does nothing else; here, where there is no such thread.
pub(super) fn discard(value: impl Send + 'static) {
    static FREEING: OnceLock<Option<Sender<Box<dyn Any + Send>>>> = OnceLock::new();
    let freeing = FREEING.get_or_init(|| {
        let (sender, receiver) = channel::<Box<dyn Any + Send>>();
        let thread = std::thread::Builder::new().name("freeing".to_owned());
        let spawned = thread.spawn(move || receiver.into_iter().for_each(drop));
        spawned
            .map_err(|error| log::warn!("no thread to free memory: {error}"))
            .ok()
            .map(|_| sender)
    });
    if let Some(freeing) = freeing {
        // What cannot be sent comes back, and is freed here.
        let _ = freeing.send(Box::new(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Tells(Sender<std::thread::ThreadId>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(std::thread::current().id()).unwrap();
        }
    }

    #[test]
    fn a_value_is_freed_soon_and_elsewhere() {
        let (sender, receiver) = channel();
        discard(Tells(sender));
        let freed_on = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_ne!(freed_on, std::thread::current().id());
    }
}
