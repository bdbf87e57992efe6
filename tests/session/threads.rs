//! The number of threads that a person chooses is that of all work of the window. In a process of its own: it looks at what
//! the whole process does.

use crate::common::alone::ran_alone;
use splitscope::inference::sweep::SweepGrid;
use splitscope::jobs::{Waker, available_threads, threads};
use splitscope::quantization::Bits;
use splitscope::session::{Action, Saved, Session};
use std::time::Duration;

fn settle(session: &mut Session) {
    assert!(session.wait_until_idle(Duration::from_secs(300)));
}

#[test]
fn no_work_goes_to_threads_that_nobody_chose() {
    if ran_alone("threads::no_work_goes_to_threads_that_nobody_chose") {
        return;
    }
    let mut session = Session::new(Waker::none(), Saved::default());
    assert_eq!(threads(), available_threads());
    session.act(Action::SetThreads(Some(1)));
    assert_eq!(threads(), 1);
    session.act(Action::SetSampleLimit(60));
    session.act(Action::Open("demo:fashion".into()));
    settle(&mut session);
    session.act(Action::ShowActivations);
    session.act(Action::MeasureSensitivity);
    session.act(Action::StartSweep(SweepGrid {
        weight_bits: vec![Bits::Grid(4)],
        activation_bits: vec![Bits::Grid(8)],
        ..SweepGrid::default()
    }));
    settle(&mut session);
    let open = session.open().unwrap();
    let evaluated = open.evaluated().unwrap().1.evaluation.clone();
    assert_eq!((evaluated.samples, open.sweep().rows().len()), (60, 1));
    assert!(open.calibration().is_some() && !open.sensitivity().rows().is_empty());

    // The pool that stands for all cores is made when the first work comes to it: there was none.
    let unused = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    assert!(unused.is_ok(), "some work ran on all cores");

    // The number changes how fast the numbers come, not what they are.
    session.act(Action::SetThreads(None));
    assert_eq!((threads(), session.saved.threads), (available_threads(), None));
    let mut other = Session::new(Waker::none(), Saved::default());
    other.act(Action::SetSampleLimit(60));
    other.act(Action::Open("demo:fashion".into()));
    settle(&mut other);
    assert_eq!(other.open().unwrap().evaluated().unwrap().1.evaluation, evaluated);
}
