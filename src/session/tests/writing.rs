//! Files whose contents come from outside of the session.

use super::*;

fn write(session: &mut Session, path: PathBuf, contents: Contents) {
    session.act(Action::Write { path, contents });
}

#[test]
fn several_files_are_written_at_once_and_no_job_of_them_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = Session::new(Waker::none(), Saved::default());
    let paths: Vec<PathBuf> = (0..5).map(|n| folder.path().join(format!("{n}.csv"))).collect();
    for path in &paths {
        let name = path.display().to_string();
        write(
            &mut session,
            path.clone(),
            Contents::new(move || Ok::<_, String>(name.clone().into_bytes())),
        );
    }
    assert!(!session.running().is_empty() && session.announced().is_empty());
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    for path in &paths {
        assert_eq!(std::fs::read_to_string(path).unwrap(), path.display().to_string());
        let told = |message: &Message| message.event == Event::Wrote(path.clone());
        assert_eq!(session.messages().iter().filter(|message| told(message)).count(), 1);
    }
}

#[test]
fn a_file_that_cannot_be_written_or_made_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/plot.csv");
    let mut session = Session::new(Waker::none(), Saved::default());
    write(
        &mut session,
        missing.clone(),
        Contents::new(|| Ok::<_, String>(vec![1])),
    );
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    let last = errors(&session).last().copied().unwrap().to_owned();
    let begins = format!("Writing {}: there is no folder", missing.display());
    assert!(last.starts_with(&begins), "{last}");

    let unmade = folder.path().join("plot.png");
    write(
        &mut session,
        unmade.clone(),
        Contents::new(|| Err("the plot is not on the screen".to_owned())),
    );
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    let told = format!("Writing {}: the plot is not on the screen", unmade.display());
    assert_eq!(errors(&session).last(), Some(&told.as_str()));
    assert!(!unmade.exists());
}
