//! Text as HTML, and nothing else in it.

use crate::printable::safe_lines;

/// `text` as it stands in HTML and SVG, in an element or an attribute. Names of layers come from the file and may be
/// anything; characters that would act ([`crate::printable`]), which a page must not hold, become a mark.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in safe_lines(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        assert_eq!(
            escaped("<script>alert('1')</script>"),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"
        );
        assert_eq!(escaped("a\" onload=\"x\u{0}"), "a&quot; onload=&quot;x\u{fffd}");
    }
}
