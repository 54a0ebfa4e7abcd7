//! What was probably meant.

/// The name with the smallest edit distance, if it is small enough to be a slip.
pub fn nearest<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| edit_distance(found, name);
    let near = names.iter().copied().min_by_key(|name| distance(name))?;
    (distance(near) <= 1 + found.len() / 4).then_some(near)
}

/// All names, and the one that was probably meant.
pub fn names_for(found: &str, names: &[&str]) -> String {
    let meant = nearest(found, names).map(|near| format!("; did you mean `{near}`?"));
    names.join(", ") + &meant.unwrap_or_default()
}

/// Adds "did you mean" to serde's message on an unknown field or variant.
pub fn with_suggestion(message: &str) -> String {
    let message = message.trim_end();
    match suggestion(message) {
        Some(near) => format!("{message}\ndid you mean `{near}`?"),
        None => message.to_owned(),
    }
}

/// Reads "unknown field `found`, expected one of `known`, …", which may follow lines of the input.
fn suggestion(message: &str) -> Option<&str> {
    let starts = ["unknown field `", "unknown variant `"];
    let start = starts.iter().filter_map(|start| message.rfind(start)).max()?;
    let quoted: Vec<&str> = message[start..].split('`').skip(1).step_by(2).collect();
    let (found, known) = quoted.split_first()?;
    nearest(found, known)
}

/// Levenshtein distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        assert_eq!(nearest("lemonad", &["random", "lemonade"]), Some("lemonade"));
        assert_eq!(nearest("quicksort", &["random", "lemonade"]), None);
        assert_eq!(nearest("lemonade", &[]), None);
        let names = ["random", "lemonade"];
        assert_eq!(names_for("lemonad", &names), "random, lemonade; did you mean `lemonade`?");
        assert_eq!(names_for("quicksort", &names), "random, lemonade");
    }

    #[test]
    fn serdes_messages_are_answered_whatever_the_input_looks_like() {
        let text = with_suggestion("1 | # `x`\nunknown field `hots`, expected `host` or `port`\n");
        assert!(text.ends_with("`port`\ndid you mean `host`?"), "{text}");
        let text = with_suggestion("unknown variant `shh`, expected one of `ssh`, `adb`, `local`");
        assert!(text.ends_with("did you mean `ssh`?"), "{text}");
        for text in ["unknown field `x`, there are no fields", "invalid type: `hots`"] {
            assert_eq!(with_suggestion(text), text);
        }
    }
}
