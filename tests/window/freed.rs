//! What was opened before is freed, whichever views showed it.

use crate::harness::{click, open, session, settle};
use splitscope::session::Action;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn a_network_that_every_view_showed_is_freed_once_the_next_is_open() {
    let mut window = open("demo:fashion");
    for view in [
        "Channels",
        "Activations",
        "Errors",
        "Network",
        "Graph",
        "Answers",
        "Sweep",
        "Auto",
        "Weights",
    ] {
        click(&mut window, view);
    }
    let open = session(&window).open().unwrap();
    let networks = [&open.original.network, &open.analysis().unwrap().network].map(Arc::downgrade);
    let data = Arc::downgrade(open.data().unwrap());
    window.state_mut().act(Action::Open("demo:shakespeare".into()));
    settle(&mut window);
    let started = Instant::now();
    // It is freed beside the window.
    while started.elapsed() < Duration::from_secs(20)
        && (networks.iter().any(|network| network.strong_count() > 0) || data.strong_count() > 0)
    {
        window.step();
    }
    let left = (networks.map(|network| network.strong_count()), data.strong_count());
    assert_eq!(left, ([0, 0], 0));
}
