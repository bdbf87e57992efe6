//! Vocabularies of every form, and what is refused.

use super::*;

fn parse(json: &str) -> Vocabulary {
    Vocabulary::parse(json.as_bytes(), "v").unwrap()
}

fn encode(json: &str, text: &str) -> (Vec<i32>, Vec<String>) {
    let encoded = parse(json).encode(text, "t").unwrap();
    (encoded.tokens, encoded.notes)
}

#[test]
fn words_are_read_by_the_line_and_what_is_unknown_is_counted() {
    let (tokens, notes) = encode(
        r#"{"<unk>": 0, "<eos>": 1, "the": 2, "cat": 3, "The": 4}"#,
        " The cat \n\nthe dog dog\tthe cat the",
    );
    assert_eq!(tokens, [4, 3, 1, 1, 2, 0, 0, 2, 3, 2, 1]);
    assert_eq!(
        notes,
        ["2 of 8 words (25.0 %) are not in the vocabulary: dog; they are read as <unk>"]
    );
}

#[test]
fn without_tokens_for_them_line_ends_and_unknown_words_are_left_out() {
    let words: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    let json = serde_json::to_string(&words).unwrap();
    let (tokens, notes) = encode(&json, &format!("{}\nnew", words.join(" ")));
    assert_eq!(tokens, (0..20).collect::<Vec<i32>>());
    assert!(notes[0].ends_with("new; they are left out"), "{notes:?}");
    let error = parse(&json).encode("new words w1", "t").unwrap_err();
    assert!(error.to_string().contains("network's own vocabulary"), "{error}");
}

#[test]
fn a_vocabulary_in_lower_case_is_read_so() {
    let (tokens, notes) = encode(r#"["<UNK>", "a", "tale", "of"]"#, "A Tale of");
    assert_eq!(tokens, [1, 2, 3]);
    assert!(notes[0].contains("lower case"), "{notes:?}");
    assert_eq!(encode(r#"["<UNK>", "A", "tale", "of"]"#, "A Tale of a").0, [1, 0, 3, 0]);
}

#[test]
fn files_of_every_form_hold_the_same_words() {
    let expected = parse(r#"["the", "cat", "<unk>"]"#);
    for json in [
        r#"{"the": 0, "cat": 1, "<unk>": 2}"#,
        r#"{"0": "the", "1": "cat", "2": "<unk>"}"#,
        r#"{"stoi": {"the": 0, "cat": 1, "<unk>": 2}, "freqs": null}"#,
        r#"{"idx2word": ["the", "cat", "<unk>"], "word2idx": {}}"#,
        r#"{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"the": 0, "cat": 1, "<unk>": 2}}}"#,
        r#"{"model": {"vocab": [["the", -1.5], ["cat", -2.0], ["<unk>", 0.0]]}}"#,
    ] {
        assert_eq!(parse(json), expected, "{json}");
    }
    // Words that are called like the places of a vocabulary are words among others.
    let words = parse(r#"{"the": 0, "words": 1, "chars": 2}"#);
    assert_eq!(words.names(), ["the", "words", "chars"]);
    assert_eq!(expected.names(), ["the", "cat", "<unk>"]);
    assert_eq!(
        (expected.separator(), parse(r#"["a", "b", "<pad>"]"#).separator()),
        (" ", "")
    );
}

#[test]
fn word_pieces_and_nonsense_are_refused_with_what_to_do() {
    let refusal = |json: &str| Vocabulary::parse(json.as_bytes(), "v").unwrap_err().reason.to_string();
    for pieces in [
        r#"["the", "Ġcat", "Ġdog"]"#,
        r#"["the", "▁cat", "▁dog"]"#,
        r###"["the", "##s", "##ed"]"###,
    ] {
        assert!(refusal(pieces).contains(".npy array of token ids"));
    }
    for json in ["[]", "{}", "3", r#"{"the": -1}"#, r#"{"the": 99999999999}"#] {
        assert!(refusal(json).contains("no vocabulary"), "{json}");
    }
    for json in [
        r#"{"chars": 3}"#,
        r#"{"words": 0}"#,
        r#"{"vocab": 50257, "layers": 2, "heads": 4}"#,
    ] {
        let reason = refusal(json);
        assert!(
            reason.contains("holds a number") && reason.contains(r#"{"chars": ["a""#),
            "{reason}"
        );
    }
    assert!(refusal("{").contains("no JSON"));
    assert_eq!(parse(r#"{"a": 2000000000}"#).names(), Vec::<String>::new());
}
