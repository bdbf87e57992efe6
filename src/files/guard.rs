//! What happens when a mapped file is cut off: the program reads zeros instead of being ended by `SIGBUS`.
//!
//! The handler may only do what is safe in a signal handler: it reads atomics and calls `mmap`. It finds the guarded range that
//! holds the address, puts fresh zero pages over it from there to its end, and marks the range as broken. An address in no
//! guarded range is somebody else's: the handler that stood before takes over.
#![allow(
    unsafe_code,
    reason = "A signal handler and a fixed map are the only way to survive a mapped file being cut off. The handler touches \
              nothing but ranges that a living map owns, whose description is never freed."
)]

use std::io;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Files that can be mapped at once. The largest sharded networks have some 200.
const MOST: usize = 1024;

/// A guarded range of addresses. It is never freed, because the handler may be looking at it: 24 bytes a mapped file.
struct Range {
    start: usize,
    end: usize,
    broken: AtomicBool,
}

static RANGES: [AtomicPtr<Range>; MOST] = [const { AtomicPtr::new(null_mut()) }; MOST];
static PAGE: AtomicUsize = AtomicUsize::new(4096);
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();

/// Guards a map for as long as it lives; it must be dropped before the map.
pub(super) struct Guard {
    place: &'static AtomicPtr<Range>,
    range: &'static Range,
}

impl Guard {
    /// Guards `map`.
    ///
    /// # Errors
    /// The system's reason, or that too many files are mapped.
    pub(super) fn over(map: &[u8]) -> io::Result<Self> {
        INSTALLED.get_or_init(install).map_err(io::Error::from_raw_os_error)?;
        let start = map.as_ptr() as usize;
        let range: &'static Range = Box::leak(Box::new(Range {
            start,
            end: start + map.len(),
            broken: AtomicBool::new(false),
        }));
        let pointer = std::ptr::from_ref(range).cast_mut();
        let free = |place: &&AtomicPtr<Range>| {
            place
                .compare_exchange(null_mut(), pointer, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        match RANGES.iter().find(free) {
            Some(place) => Ok(Self { place, range }),
            None => Err(io::Error::other(format!(
                "more than {MOST} large files would be open at once"
            ))),
        }
    }

    /// Whether something was read behind the end that the file has now.
    pub(super) fn is_broken(&self) -> bool {
        self.range.broken.load(Ordering::Acquire)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.place.store(null_mut(), Ordering::Release);
    }
}

fn install() -> Result<(), i32> {
    let failed = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
    // SAFETY: plain calls with valid arguments; an all-zero `sigaction` is a valid one to be filled.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE);
        PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
        let mut before: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut before) != 0 {
            return Err(failed());
        }
        // Before the handler can run.
        let _ = BEFORE.set(before);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_bus_error as *const () as usize;
        // On the thread's own signal stack where it has one: the fault may come deep inside of a call.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        if libc::sigaction(libc::SIGBUS, &raw const action, null_mut()) != 0 {
            return Err(failed());
        }
    }
    Ok(())
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system hands over a valid `info`.
    let address = unsafe { (*info).si_addr() } as usize;
    for place in &RANGES {
        // SAFETY: null or a range that is never freed.
        let Some(range) = (unsafe { place.load(Ordering::Acquire).as_ref() }) else {
            continue;
        };
        if !(range.start..range.end).contains(&address) {
            continue;
        }
        let page = address & !(PAGE.load(Ordering::Relaxed) - 1);
        // Marked first: another thread must not see zeros without the mark.
        range.broken.store(true, Ordering::Release);
        // SAFETY: the pages belong to the map that this range describes. It is alive, since somebody reads it just now.
        let zeros = unsafe {
            libc::mmap(
                page as *mut libc::c_void,
                range.end - page,
                libc::PROT_READ,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if zeros != libc::MAP_FAILED {
            return;
        }
    }
    // Nobody's, or beyond help: the reading is tried again and meets whoever stood here before.
    if let Some(before) = BEFORE.get() {
        // SAFETY: a valid action, as the system once told it.
        unsafe {
            libc::sigaction(libc::SIGBUS, std::ptr::from_ref(before), null_mut());
        }
    }
}
