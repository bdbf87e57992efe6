//! Tokens are those of Hugging Face's library (see `tests/fixtures/tokenizers/make.py`).

use super::*;
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;

#[derive(serde::Deserialize)]
struct Fixture {
    tokenizer: Json,
    ids: Vec<Vec<i32>>,
    texts: Vec<String>,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
    let file = std::fs::File::open(folder.join(format!("{name}.json.gz"))).unwrap();
    serde_json::from_reader(GzDecoder::new(file)).unwrap()
}

#[test]
fn hard_lines_become_the_tokens_of_the_reference_and_text_again() {
    let lines: Vec<String> = read("lines");
    assert_eq!(lines.len(), 2000);
    for name in ["gpt2", "smollm", "llama3", "llama2", "bert", "bert_cased", "unigram"] {
        let fixture: Fixture = read(name);
        let json = fixture.tokenizer.to_string();
        assert!(Pieces::is_tokenizer(json.as_bytes()), "{name}");
        let pieces = Pieces::parse(json.as_bytes(), name).unwrap();
        for (line, expected) in lines.iter().zip(&fixture.ids) {
            let encoding = pieces.tokenizer.encode_fast(line.as_str(), false).unwrap();
            let found: Vec<i32> = encoding.get_ids().iter().map(|id| *id as i32).collect();
            assert_eq!(&found, expected, "{name}: {line:?}");
        }
        for (ids, text) in fixture.ids.iter().zip(&fixture.texts) {
            assert_eq!(&pieces.text(ids), text, "{name}");
        }
    }
}

/// What llama.cpp's converter writes of the same tokenizers, and one that the SentencePiece library trained and cut the lines with.
#[test]
fn a_gguf_file_s_tokenizer_cuts_as_the_one_that_it_was_made_of() {
    #[derive(serde::Deserialize)]
    struct Cut {
        ids: Vec<Vec<i32>>,
        texts: Vec<String>,
    }
    let lines: Vec<String> = read("lines");
    for name in ["gpt2", "smollm", "llama3", "sentencepiece"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers");
        let file = std::fs::File::open(folder.join(format!("{name}.gguf.gz"))).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(file), &mut bytes).unwrap();
        let json = crate::format::gguf::tokenizer_json(&bytes.into(), name).unwrap();
        let pieces = Pieces::parse(json.as_bytes(), name).unwrap();
        let cut: Cut = read(name);
        assert_eq!(cut.ids.len(), lines.len());
        // The library does not look for beginning and end of a text in the text; such lines have no tokens there.
        let told = |(line, ids): &(&String, &Vec<i32>)| line.is_empty() || !ids.is_empty();
        assert!(lines.iter().zip(&cut.ids).filter(told).count() > 1900, "{name}");
        for (line, expected) in lines.iter().zip(&cut.ids).filter(told) {
            let encoding = pieces.tokenizer.encode_fast(line.as_str(), false).unwrap();
            let found: Vec<i32> = encoding.get_ids().iter().map(|id| *id as i32).collect();
            assert_eq!(&found, expected, "{name}: {line:?}");
        }
        for (ids, text) in cut.ids.iter().zip(&cut.texts) {
            assert_eq!(&pieces.text(ids), text, "{name}");
        }
    }
}

#[test]
fn what_is_not_known_is_counted_and_another_languages_text_is_refused() {
    let fixture: Fixture = read("unigram");
    let pieces = Pieces::parse(fixture.tokenizer.to_string().as_bytes(), "t").unwrap();
    let encoded = pieces.encode("the word 東 is this one", "t").unwrap();
    assert!(encoded.notes[0].starts_with("1 of "), "{:?}", encoded.notes);
    let error = pieces.encode("東 京 都 庁", "t").unwrap_err();
    assert!(error.to_string().contains("network's own tokenizer"), "{error}");
}

#[test]
fn files_that_are_no_tokenizers_are_told_apart_or_refused() {
    for json in [
        r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}}}"#,
        r#"["a"]"#,
        "{",
        r#"{"model": 3}"#,
    ] {
        assert!(!Pieces::is_tokenizer(json.as_bytes()), "{json}");
    }
    for json in [
        r#"{"model": {"type": "BPE"}}"#,
        r#"{"version": "1.0", "model": {"type": "Unigram", "unk_id": 9, "vocab": []}}"#,
    ] {
        assert!(Pieces::is_tokenizer(json.as_bytes()));
        let error = Pieces::parse(json.as_bytes(), "t").unwrap_err();
        assert!(
            error.reason.to_string().starts_with("not a tokenizer that can be used"),
            "{error}"
        );
    }
}

#[test]
fn each_token_has_a_name() {
    let fixture: Fixture = read("smollm");
    let pieces = Pieces::parse(fixture.tokenizer.to_string().as_bytes(), "t").unwrap();
    let names = pieces.names();
    assert_eq!(names.len(), 600);
    let word = pieces.encode(" the", "t").unwrap().tokens;
    assert_eq!(names[word[0] as usize], " the");
}
