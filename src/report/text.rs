//! Texts from elsewhere, made harmless.

/// Families are told apart by shape, and by colour where there is one.
pub(super) const GLYPHS: [&str; 6] = ["●", "■", "▲", "◆", "▼", "★"];

/// `text` for one line: no control characters, nothing that turns the direction of writing, at
/// most `most` characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let harmless = |c: char| match c {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{fffe}' | '\u{ffff}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let mut cleaned: String = text.chars().take(most + 1).map(harmless).collect();
    if cleaned.chars().count() > most {
        cleaned.pop();
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned
}

/// `text` as it may stand in XML or HTML, inside an element or a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
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

/// Of two ends in the same unit, the unit once: `1.22–3.41 %`.
pub(super) fn span(low: &str, high: &str) -> String {
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
        _ => format!("{low}–{high}"),
    }
}

/// A number and its unit without zeros at the end: `20.0 µs` becomes `20 µs`.
pub(super) fn short(quantity: &str) -> String {
    let (number, unit) = quantity.split_once(' ').map_or((quantity, ""), |(n, u)| (n, u));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

/// Seconds as a person says them: `41 s`, `12 min`, `3.4 h`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_becomes_one_harmless_line() {
        assert_eq!(clean("a\u{1b}[31m\nb\u{202e}c", 20), "a\u{fffd}[31m\u{fffd}b\u{fffd}c");
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(
            escape("<img src=\"x\" onerror='a&b'>").matches(['<', '>', '"', '\'']).count(),
            0
        );
    }

    #[test]
    fn units_are_said_once() {
        assert_eq!(span("1.22 %", "3.41 %"), "1.22–3.41 %");
        assert_eq!(span("941.5 µs", "1.02 ms"), "941.5 µs–1.02 ms");
        assert_eq!(span("3", "4"), "3–4");
    }

    #[test]
    fn numbers_lose_only_zeros_that_say_nothing() {
        assert_eq!(short("20.0 µs"), "20 µs");
        assert_eq!(short("1.50 M"), "1.5 M");
        assert_eq!(short("100 %"), "100 %");
        assert_eq!(short("5000"), "5000");
    }
}
