//! What is made for a view alone: only while it is in sight.

use super::*;

fn watch(session: &mut Session, watched: Watched) {
    session.act(Action::Watch(watched));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors(session), [""; 0]);
}

fn cards_of(layers: &[usize]) -> Watched {
    Watched {
        cards: layers.to_vec(),
        ..Watched::default()
    }
}

fn with_cards(session: &Session) -> Vec<usize> {
    let open = session.open().unwrap();
    let layers = 0..open.original.network.layers.len();
    layers.filter(|layer| open.cards().get(*layer).is_some()).collect()
}

fn drawn(session: &Session) -> Option<&Arc<Drawing>> {
    session.open().unwrap().drawing()
}

#[test]
fn cards_are_made_for_the_layers_in_sight_and_anew_when_their_settings_change() {
    let mut session = open("demo:fashion");
    assert!(with_cards(&session).is_empty());
    let sight: Vec<usize> = (0..10).rev().collect();
    // There is no layer of the last number: it was in sight before another network was opened.
    session.act(Action::Watch(cards_of(&[&sight[..], &[1000]].concat())));
    assert!(session.job(Kind::Cards).is_some() && session.announced().iter().all(|job| job.kind != Kind::Cards));
    watch(&mut session, cards_of(&sight));
    assert_eq!(with_cards(&session), (0..10).collect::<Vec<_>>());
    let errors_of = |session: &Session, layer: usize| {
        let card = session.open().unwrap().cards().get(layer).unwrap();
        card.as_ref().unwrap().errors
    };
    let before = errors_of(&session, 3).unwrap();
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(2));
    // The older card stays until the newer is there.
    assert_eq!(errors_of(&session, 3), Some(before));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert!(errors_of(&session, 3).unwrap().plain > before.plain);

    watch(&mut session, Watched::default());
    let before = errors_of(&session, 3);
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(6));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors_of(&session, 3), before, "nobody looks at it");
}

#[test]
fn the_graph_and_the_cards_are_those_of_the_network_that_is_shown() {
    let mut session = open("demo:fashion");
    assert!(drawn(&session).is_none());
    let both = Watched {
        graph: true,
        ..cards_of(&[0, 1])
    };
    watch(&mut session, both);
    let nodes = |session: &Session| drawn(session).unwrap().nodes.len();
    let first = Arc::clone(drawn(&session).unwrap());
    assert_eq!(with_cards(&session), [0, 1]);
    edit(&mut session, false, |recipe| {
        recipe.cross_layer_equalization = !recipe.cross_layer_equalization;
    });
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert!(!Arc::ptr_eq(&first, drawn(&session).unwrap()));
    assert_eq!(with_cards(&session), [0, 1]);

    session.act(Action::Open("demo:shakespeare".into()));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_ne!(nodes(&session), first.nodes.len());
    assert_eq!(with_cards(&session), [0, 1]);
    assert_eq!(errors(&session), [""; 0]);
}
