//! How well a few letters fit a name.

/// A score for `query` in `name`, higher for a better fit; `None` if its words are not all in it. The letters of a word must
/// come in their order, with others between them; letters at the beginning of words and letters side by side count more.
pub(super) fn score(query: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let mut total = 0;
    for word in query.split_whitespace() {
        let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
        total += word_score(&word, &name)?;
    }
    // Of equally good ones the shorter is meant.
    Some(total * 100 - i32::try_from(name.len().min(90)).unwrap_or(90))
}

/// The best over all places where the first letter stands.
fn word_score(word: &[char], name: &[char]) -> Option<i32> {
    let first = *word.first()?;
    let starts = (0..name.len()).filter(|place| name[*place] == first);
    starts.filter_map(|start| score_from(word, name, start)).max()
}

fn score_from(word: &[char], name: &[char], start: usize) -> Option<i32> {
    let mut score = 0;
    let mut place = start;
    let mut last = None;
    for letter in word {
        place += name.get(place..)?.iter().position(|c| c == letter)?;
        let begins = place == 0 || !name[place - 1].is_alphanumeric();
        score += match last {
            Some(last) if place == last + 1 => 4,
            _ if begins => 3,
            Some(_) => -1,
            None => 0,
        };
        last = Some(place);
        place += 1;
    }
    Some(score)
}

#[cfg(test)]
mod tests {
    use super::score;

    fn best<'a>(query: &str, names: &[&'a str]) -> Option<&'a str> {
        let scored = names.iter().filter_map(|name| Some((score(query, name)?, *name)));
        scored.max_by_key(|(score, _)| *score).map(|(_, name)| name)
    }

    #[test]
    fn letters_must_come_in_order() {
        assert!(score("xyz", "Export").is_none());
        assert!(score("tropxe", "Export").is_none());
        assert!(score("expo", "Export").is_some());
        assert!(score("", "Export").is_some(), "nothing asked for fits everything");
    }

    #[test]
    fn beginnings_of_words_and_letters_side_by_side_fit_better() {
        let names = ["Reset layout", "Redo", "Show view Layers", "Dark or light"];
        assert_eq!(best("rl", &names), Some("Reset layout"));
        assert_eq!(best("layers", &names), Some("Show view Layers"));
        assert_eq!(best("red", &names), Some("Redo"));
        let layers = ["Layer layer1.0.conv1", "Layer layer1.0.conv2", "Layer layer1.1.conv2"];
        assert_eq!(best("1.1 conv2", &layers), Some("Layer layer1.1.conv2"));
    }
}
