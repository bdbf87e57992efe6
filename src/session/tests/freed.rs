//! What belonged to a network is freed once the next one is open.

use super::*;
use crate::session::derived::Derived;
use crate::session::drawing::Drawn;
use crate::session::running::{Calibrated, EngineLoaded, FloatRun};
use crate::session::tracing::Traced;
use crate::session::weights::Planning;
use std::sync::Weak;

/// What is to be freed: its name, and whether it is.
type Freed = (&'static str, Box<dyn Fn() -> bool>);

fn weak<T: ?Sized + 'static>(name: &'static str, value: &Arc<T>) -> Freed {
    let weak: Weak<T> = Arc::downgrade(value);
    (name, Box::new(move || weak.strong_count() == 0))
}

/// The newest result of a kind, which must be there.
fn newest<D: Derived>(open: &OpenNetwork) -> &D::Value {
    open.slots.of::<D>().latest().unwrap().1
}

/// Opens another network and waits for all of `owned` to be freed, which happens on a thread of its own.
fn opens_another(mut session: Session, owned: &[Freed]) {
    for (name, is_freed) in owned {
        assert!(!is_freed(), "{name} is not there");
    }
    session.act(Action::Open("demo:shakespeare".into()));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(session.open().unwrap().demo, Some(Demo::Shakespeare));
    let started = Instant::now();
    let left = || -> Vec<&str> {
        let left = owned.iter().filter(|(_, is_freed)| !is_freed());
        left.map(|(name, _)| *name).collect()
    };
    while !left().is_empty() && started.elapsed() < LIMIT {
        session.poll();
        std::thread::yield_now();
    }
    assert_eq!(left(), [""; 0]);
}

#[test]
fn engines_data_and_results_of_a_network_are_freed_once_the_next_is_open() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| recipe.activation_bits = Bits::Grid(8));
    session.act(Action::ShowActivations);
    session.act(Action::Watch(Watched {
        trace: true,
        error_curves: true,
        input_channels: true,
        cure: true,
        graph: true,
        cards: (0..20).collect(),
        ..Watched::default()
    }));
    session.act(Action::TakeSnapshot("kept".to_owned()));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors(&session), [""; 0]);
    let open = session.open.as_ref().unwrap();
    let (engine, shapes) = newest::<EngineLoaded>(open);
    let owned = [
        weak("the network", &open.original.network),
        weak("its layers", &open.original.layers),
        weak("the prepared network", &open.analysis().unwrap().network),
        weak("the engine", engine),
        weak("shapes", shapes.as_ref().unwrap()),
        weak("data", open.data().unwrap()),
        weak("values between layers", open.between.as_ref().unwrap()),
        weak("float outputs", newest::<FloatRun>(open)),
        weak("ranges", newest::<Calibrated>(open)),
        weak("the plan", &newest::<Planning>(open).plan),
        weak("outputs", &open.evaluated().unwrap().1.preview.quantized),
        weak("the trace", newest::<Traced>(open)),
        weak("the drawing", newest::<Drawn>(open)),
    ];
    // A job that is under way holds what it works on.
    session.act(Action::MeasureSensitivity);
    assert!(session.job(Kind::Sensitivity).is_some());
    opens_another(session, &owned);
}

#[test]
fn inputs_that_were_made_up_for_a_network_are_freed_once_the_next_is_open() {
    let session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    let open = session.open.as_ref().unwrap();
    let owned = [
        weak("the network", &open.original.network),
        weak("made-up inputs", &open.made_up.kept().unwrap()),
    ];
    opens_another(session, &owned);
}
